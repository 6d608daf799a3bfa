// Package graph answers GraphQL operations: it binds the contract in
// schema.graphql to the packages of the domain.
//
// Its resolvers check, call one thing, and return. Who may ask for a field, and
// how large an answer may be, is judged before any of them runs (package
// guard). Edges are loaded for all rows of a list at once (package batch).
package graph

import (
	"context"
	"log/slog"

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
	"tagma/internal/gql/documents"
	"tagma/internal/gql/guard"
	"tagma/internal/gql/selection"
	"tagma/internal/gql/transport"
	"tagma/internal/storage/database"
	"tagma/internal/storage/filelink"
	"tagma/internal/storage/health"
)

// Resolver is what the resolvers call on.
type Resolver struct {
	DB          *database.DB
	Images      *images.Service
	Annotations *annotations.Service
	Labels      *labels.Labels
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
	Trusted     map[string]string // documents that the operator has listed, by id
	TrustedOnly bool              // lets no others pass
	Transport   transport.Options
	Log         *slog.Logger
	Metrics     prometheus.Registerer
	Writes      *health.Writes // hears of writes that fail

	ordinary bool // for tests: all is left to the resolvers
}

// sizes is what the guard takes lists to be as long as that do not say so.
var sizes = map[string]guard.Size{
	"Query.images":                  {Of: "keys", Each: 1},
	"Query.nodes":                   {Of: "ids", Each: 1},
	"Query.diffImages":              {Of: "images", Each: 1},
	"Query.annotations":             {Of: "images", Each: 2},
	"Query.activity":                {Each: 1000},
	"Image.annotations":             {Each: 2},
	"Annotation.objects":            {Each: 20},
	"Query.labelSets":               {Each: 20},
	"LabelSet.labels":               {Each: 10},
	"LabelSubmission.labels":        {Each: 10},
	"BundleVersion.files":           {Each: 500},
	"BundleUpload.wanted":           {Each: 100},
	"BundleUploadTarget.headers":    {Each: 2},
	"User.tokens":                   {Each: 10},
	"Mutation.createUsers":          {Of: "input", Each: 1},
	"UploadImagesPayload.results":   {Each: 100},
	"PutAnnotationsPayload.results": {Each: 100},
	"PutAnnotationResult.problems":  {Each: 1},
}

// NewHandler answers GraphQL over HTTP.
func NewHandler(resolver *Resolver, options Options) (*handler.Server, error) {
	schema := generated.NewExecutableSchema(generated.Config{Resolvers: resolver})
	judge, err := guard.New(schema.Schema(), options.Guard, sizes)
	if err != nil {
		return nil, err
	}
	err = checkDocuments(context.Background(), schema.Schema(), options.Trusted, options.Transport.Limits.QueryBytes, options.QueryTokens)
	if err != nil {
		return nil, err
	}
	known := documents.New(options.Trusted, options.TrustedOnly)
	fast, err := selection.New(schema.Schema(), resolver.DB, resolver.known())
	if err != nil {
		return nil, err
	}
	options.Transport.LateVariables = !options.ordinary
	server := handler.New(schema)
	server.AddTransport(transport.WebSocket{Options: options.Transport})
	server.AddTransport(transport.GET{Options: options.Transport})
	server.AddTransport(transport.Multipart{Options: options.Transport})
	server.AddTransport(transport.POST{Options: options.Transport})
	server.AddTransport(transport.OtherMethods{Options: options.Transport})
	server.SetParserTokenLimit(options.QueryTokens)
	server.Use(named{known})
	parsed := newCache()
	server.Use(guard.Text{Tokens: options.QueryTokens, Passed: func(ctx context.Context, text string) bool {
		_, ok := parsed.Get(ctx, text)
		return ok
	}})
	server.SetQueryCache(parsed)
	server.Use(extension.Introspection{}) // the contract is public
	server.Use(lateIn{schema.Schema()})
	server.Use(judge)
	server.Use(lateOut{})
	server.Use(learn{known})
	errors := presenter{options.Log, newVocabulary(schema.Schema()), options.Writes}
	bounds := bounded{options.Cost, errors}
	if !options.ordinary {
		server.AroundFields(fast.Field)
	}
	server.AroundFields(bounds.field)
	server.AroundRootFields(bounds.root)
	server.AroundResponses(bounds.respond)
	server.AroundOperations(newMeter(options.Metrics).measure)
	server.SetErrorPresenter(errors.present)
	server.AroundResponses(errors.shorten)
	server.SetRecoverFunc(errors.recovered)
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

func (r *Resolver) BundleUpload() generated.BundleUploadResolver {
	return bundleUpload{r}
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
	query           struct{ *Resolver }
	mutation        struct{ *Resolver }
	subscription    struct{ *Resolver }
	image           struct{ *Resolver }
	device          struct{ *Resolver }
	annotation      struct{ *Resolver }
	labelSet        struct{ *Resolver }
	video           struct{ *Resolver }
	labelSubmission struct{ *Resolver }
	bundle          struct{ *Resolver }
	bundleVersion   struct{ *Resolver }
	bundleFile      struct{ *Resolver }
	bundleUpload    struct{ *Resolver }
	algorithm       struct{ *Resolver }
	user            struct{ *Resolver }
)
