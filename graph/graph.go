// Package graph answers GraphQL operations. It binds the contract in
// schema.graphql to the packages of the domain.
//
// A resolver checks its arguments, calls one function of the domain, and returns.
// Edges are loaded for all rows of a list at once (package siblings). Package selection
// answers long lists without the resolvers; graph registers the types, and the domain
// describes the queries.
//
// Package graph does not own the permissions and the size of an operation (package
// guard), nor HTTP (package transport), nor queries (the packages of the domain).
package graph

import (
	"context"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/prometheus/client_golang/prometheus"

	ent "tagma/ent/generated"
	"tagma/graph/generated"
	"tagma/graph/model"
	"tagma/internal/base/cost"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/domain/labels"
	"tagma/internal/domain/people"
	"tagma/internal/gql/guard"
	"tagma/internal/gql/persisted"
	"tagma/internal/gql/selection"
	"tagma/internal/gql/transport"
	"tagma/internal/storage/database"
	"tagma/internal/storage/filelink"
	"tagma/internal/storage/health"
)

// Resolver holds the services that the resolvers call.
type Resolver struct {
	DB          *database.DB
	Images      *images.Service
	Annotations *annotations.Service
	Labels      *labels.Service
	Bundles     *bundles.Service
	People      *people.Service
	Events      Events
	Links       filelink.Maker
	Targets     filelink.Targets
	Server      model.ServerInfo
}

// Options of NewHandler.
type Options struct {
	Guard       guard.Limits
	Cost        cost.Limits
	QueryTokens int
	Trusted     map[string]string // documents of the operator, by id
	TrustedOnly bool              // refuse all other documents
	Transport   transport.Options
	Log         *slog.Logger
	Metrics     prometheus.Registerer
	Writes      *health.Writes // learns of failed writes

	ordinary bool // for tests: the resolvers answer all fields
}

// sizes are the assumed lengths of lists, for the guard: Of is the argument with the
// length.
var sizes = map[string]guard.Size{
	"Query.images":                      {Of: "keys", Each: 1},
	"Query.nodes":                       {Of: "ids", Each: 1},
	"Query.diffImages":                  {Of: "images", Each: 1},
	"Query.annotations":                 {Of: "images", Each: 2},
	"Query.activity":                    {Each: 1000},
	"Image.annotations":                 {Each: 2},
	"Annotation.objects":                {Each: 20},
	"Query.labelSets":                   {Each: 20},
	"LabelSet.labels":                   {Each: 10},
	"LabelSubmission.labels":            {Each: 10},
	"BundleVersion.files":               {Each: 500},
	"RequestBundleUploadPayload.wanted": {Each: 100},
	"BundleUploadTarget.headers":        {Each: 2},
	"User.tokens":                       {Each: 10},
	"CreateUsersPayload.users":          {Each: 100},
	"UploadImagesPayload.results":       {Each: 100},
	"PutAnnotationsPayload.results":     {Each: 100},
	"PutAnnotationResult.problems":      {Each: 1},
}

// NewHandler returns the handler of GraphQL over HTTP.
func NewHandler(resolver *Resolver, options Options) (*handler.Server, error) {
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: resolver, Schema: newSchema()})
	operationGuard, err := guard.New(schema.Schema(), options.Guard, sizes)
	if err != nil {
		return nil, err
	}
	stored := persisted.New(options.Trusted, options.TrustedOnly)
	engines := newEngineMeter(options.Metrics, options.Log)
	engine, err := selection.New(schema.Schema(), resolver.DB, resolver.registry(), engines.selection)
	if err != nil {
		return nil, err
	}
	options.Transport.RawLists = !options.ordinary
	contract := newVocabulary(schema.Schema())
	coercer, err := newCoercer(schema.Schema(), contract)
	if err != nil {
		return nil, err
	}
	rules := newRules(coercer)
	if err := checkDocuments(context.Background(), schema.Schema(), rules(), options); err != nil {
		return nil, err
	}
	server := handler.New(schema)
	server.SetValidationRulesFn(rules)
	exec := coercionExecutor{coercer: coercer, rawLists: rawLists{engines.list}, mutators: []graphql.OperationContextMutator{
		extension.Introspection{}, operationGuard, emptyRawListVariables{}, registerPersisted{stored},
	}}
	for _, t := range transport.New(options.Transport) {
		server.AddTransport(wrappedTransport{t, exec})
	}
	// The order is the security model. gqlgen runs the extensions of Use on the text, in
	// the order of Use, and parses and validates the text:
	//
	//  1. resolvePersisted: an id or a hash becomes the text that all other extensions
	//     read.
	//  2. guard.Text: gqlgen's parser takes too long for some texts, so these are
	//     refused before. A text in the query cache has passed.
	//
	// Then the executor coerces the variables, and runs its extensions on the
	// operation:
	//
	//  3. Introspection, which anybody may use: the contract is public.
	//  4. operationGuard: permissions, depth and cost. Nothing has run when an operation
	//     is refused.
	//  5. emptyRawListVariables: gqlgen cannot read decoded lists. The guard has seen the
	//     lengths.
	//  6. registerPersisted: only documents that the guard has accepted are stored under
	//     their hash.
	//
	// Of interceptors, the first is the outermost:
	//
	//  7. Fields: the engine answers a root field and charges the cost; the limiter
	//     charges all other fields.
	//  8. Root fields: the limiter sizes gqlgen's buffer.
	//  9. Responses: the limiter replaces an answer beyond a limit by one error, whatever
	//     the errors inside are. Then the list of errors is shortened.
	// 10. Operations: the meter measures all of the above.
	// 11. Errors: the presenter and the recover function remove what callers may not
	//     read.
	server.SetParserTokenLimit(options.QueryTokens)
	server.Use(resolvePersisted{stored})
	parsed := newQueryCache()
	server.Use(guard.Text{Tokens: options.QueryTokens, Passed: func(ctx context.Context, text string) bool {
		_, ok := parsed.Get(ctx, text)
		return ok
	}})
	server.SetQueryCache(parsed)
	presenter := errorPresenter{options.Log, contract, options.Writes}
	limiter := costLimiter{options.Cost, presenter}
	if !options.ordinary {
		server.AroundFields(engine.InterceptField)
	}
	server.AroundFields(limiter.field)
	server.AroundFields(nullIntrospection)
	server.AroundRootFields(limiter.root)
	server.AroundResponses(limiter.respond)
	server.AroundOperations(newOperationMeter(options.Metrics).measure)
	server.SetErrorPresenter(presenter.present)
	server.AroundResponses(presenter.shorten)
	server.SetRecoverFunc(presenter.recoverPanic)
	return server, nil
}

// The resolvers of each type of the schema.

func (r *Resolver) Query() generated.QueryResolver           { return query{r} }
func (r *Resolver) Mutation() generated.MutationResolver     { return mutation{r} }
func (r *Resolver) Image() generated.ImageResolver           { return image{r} }
func (r *Resolver) Device() generated.DeviceResolver         { return device{r} }
func (r *Resolver) Annotation() generated.AnnotationResolver { return annotation{r} }
func (r *Resolver) LabelSet() generated.LabelSetResolver     { return labelSet{r} }
func (r *Resolver) Video() generated.VideoResolver           { return video{r} }
func (r *Resolver) Bundle() generated.BundleResolver         { return bundle{r} }
func (r *Resolver) BundleFile() generated.BundleFileResolver { return bundleFile{r} }
func (r *Resolver) Algorithm() generated.AlgorithmResolver   { return algorithm{r} }
func (r *Resolver) User() generated.UserResolver             { return user{r} }

func (r *Resolver) Subscription() generated.SubscriptionResolver {
	return subscription{r}
}

func (r *Resolver) LabelSubmission() generated.LabelSubmissionResolver {
	return labelSubmission{r}
}

func (r *Resolver) BundleVersion() generated.BundleVersionResolver {
	return bundleVersion{r}
}

func (r *Resolver) RequestBundleUploadPayload() generated.RequestBundleUploadPayloadResolver {
	return requestBundleUploadPayload{r}
}

func (r *Resolver) ImageConnection() generated.ImageConnectionResolver {
	return connection[*ent.Image]{}
}

func (r *Resolver) DeviceConnection() generated.DeviceConnectionResolver {
	return connection[*ent.Device]{}
}

func (r *Resolver) AnnotationConnection() generated.AnnotationConnectionResolver {
	return connection[*ent.Annotation]{}
}

func (r *Resolver) UserConnection() generated.UserConnectionResolver {
	return connection[*ent.User]{}
}

func (r *Resolver) VideoConnection() generated.VideoConnectionResolver {
	return connection[*ent.Video]{}
}

func (r *Resolver) LabelSubmissionConnection() generated.LabelSubmissionConnectionResolver {
	return connection[*ent.LabelSubmission]{}
}

func (r *Resolver) BundleConnection() generated.BundleConnectionResolver {
	return connection[*ent.Bundle]{}
}

func (r *Resolver) BundleVersionConnection() generated.BundleVersionConnectionResolver {
	return connection[*ent.BundleVersion]{}
}

type (
	query                      struct{ r *Resolver }
	mutation                   struct{ r *Resolver }
	subscription               struct{ r *Resolver }
	image                      struct{ r *Resolver }
	device                     struct{ r *Resolver }
	annotation                 struct{ r *Resolver }
	labelSet                   struct{ r *Resolver }
	video                      struct{ r *Resolver }
	labelSubmission            struct{ r *Resolver }
	bundle                     struct{ r *Resolver }
	bundleVersion              struct{ r *Resolver }
	bundleFile                 struct{ r *Resolver }
	requestBundleUploadPayload struct{ r *Resolver }
	algorithm                  struct{ r *Resolver }
	user                       struct{ r *Resolver }
)
