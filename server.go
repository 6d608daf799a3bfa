// Command tagma is the Tagma server, and the tools of whoever keeps it alive.
//
// This file wires: settings, store, domain, GraphQL, HTTP. Everything else is
// in graph/ and internal/.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/ent/generated/labelsubmission"
	"tagma/graph"
	"tagma/graph/model"
	"tagma/internal/activity"
	"tagma/internal/annotations"
	"tagma/internal/bundles"
	"tagma/internal/command"
	"tagma/internal/config"
	"tagma/internal/contour"
	"tagma/internal/events"
	"tagma/internal/filelink"
	"tagma/internal/guard"
	"tagma/internal/httpd"
	"tagma/internal/idempotency"
	"tagma/internal/images"
	"tagma/internal/instant"
	"tagma/internal/labelrepo"
	"tagma/internal/labels"
	"tagma/internal/leader"
	"tagma/internal/pairing"
	"tagma/internal/password"
	"tagma/internal/people"
	"tagma/internal/request"
	"tagma/internal/series"
	"tagma/internal/store"
	"tagma/internal/sweep"
	"tagma/internal/throttle"
	"tagma/internal/thumbnail"
	"tagma/internal/transport"
	"tagma/web"
)

//go:embed schema.graphql
var contract []byte

// version is set by the linker when a release is built.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := command.Root(version, func(cmd *cobra.Command, c *config.Config) error {
		return serve(cmd.Context(), c, cmd.OutOrStdout())
	})
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "tagma:", err)
		os.Exit(1)
	}
}

// serve runs a server until ctx ends, and then lets its requests finish.
func serve(ctx context.Context, c *config.Config, out io.Writer) error {
	defer runtime.KeepAlive(headroom())
	log, err := store.Logger(c)
	if err != nil {
		return err
	}
	if _, err := c.LabelRepo(); err != nil { // it is opened later, by the server that leads
		return err
	}
	metrics := prometheus.NewRegistry()
	st, err := store.Open(ctx, c, log, request.CountStatement)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	d := newDomain(c, st, log)
	routes, err := handler(ctx, c, st, d, log, metrics)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	initial, err := d.persons.EnsureAdmin(ctx)
	if err != nil {
		return err
	}
	if err := d.labels.Ensure(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "Tagma is at http://%s/\n", listener.Addr())
	if initial != "" {
		fmt.Fprintf(out, "Sign in as admin with the password %s (shown this once; change it with changePassword)\n", initial)
	}

	background, endBackground := context.WithCancel(ctx)
	defer endBackground()
	telling, watching := d.hub.Start(background), d.watch.Start(background)
	sweeping := sweep.Start(background, log, st.DB, st.Folder, pairing.New(st.DB, st.Bucket, instant.System), d.photos, d.bundles, d.persons, d.keyed)
	posting := leader.Start(background, st.DB, log, "labels", func(ctx context.Context) error {
		return labels.Keep(ctx, d.labels, labels.Layout(c.Labels.Layout), log, func(ctx context.Context) (*labelrepo.Repo, error) {
			return store.OpenLabels(ctx, c, log)
		})
	})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: c.Timeout, IdleTimeout: 4 * c.Timeout, MaxHeaderBytes: 64 << 10}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping: requests under way may finish", "within", c.Drain)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Drain)
	defer cancel()
	err = server.Shutdown(drain)
	endBackground()
	<-sweeping
	<-posting
	<-telling
	<-watching
	return errors.Join(err, server.Close())
}

// domain is what the server keeps.
type domain struct {
	photos      *images.Images
	annotations *annotations.Annotations
	labels      *labels.Labels
	bundles     *bundles.Bundles
	persons     *people.People
	keyed       *idempotency.Keeper

	hub    *events.Hub
	events graph.Events
	watch  *people.Watch
}

func newDomain(c *config.Config, st *store.Store, log *slog.Logger) domain {
	photos := images.New(st.DB, st.Bucket, instant.System, c.Images())
	d := domain{
		photos:      photos,
		annotations: annotations.New(st.DB, photos, instant.System, c.Page()),
		labels:      labels.New(st.DB, instant.System, c.Page()),
		bundles:     bundles.New(st.DB, st.Bucket, instant.System, c.BundleLimits()),
		persons:     people.New(st.DB, instant.System, password.New(password.Options{}), throttle.New(instant.System, throttle.Options{}), c.Page()),
		hub:         events.New(st.DB, log),
		keyed:       idempotency.New(st.DB, instant.System),
	}
	d.watch = people.NewWatch(d.persons)
	d.events = graph.Events{
		Images:      events.NewTopic(d.hub, events.Source[*ent.Image]{Name: "images", Table: image.Table, Load: d.photos.ByIDs}),
		Annotations: events.NewTopic(d.hub, events.Source[*ent.Annotation]{Name: "annotations", Table: annotation.Table, Load: d.annotations.Followed}),
		Labels:      events.NewTopic(d.hub, events.Source[*ent.LabelSubmission]{Name: "labels", Table: labelsubmission.Table, Load: d.labels.Followed, State: labels.State}),
	}
	d.photos.OnAdded(d.events.Images.Tell)
	d.annotations.OnAdded(d.events.Annotations.Tell)
	d.labels.OnChange(d.events.Labels.Tell)
	return d
}

// uploadMemory is how many bytes of uploaded files wait in memory: as many as
// "tagma push" sends at once.
const uploadMemory = 64 << 20

// decodedMemory is how many bytes large JSON bodies take that are under way: eight
// of a MiB, as they are decoded.
const decodedMemory = 256 << 20

// handler puts the server together.
func handler(ctx context.Context, c *config.Config, st *store.Store, d domain, log *slog.Logger, metrics *prometheus.Registry) (http.Handler, error) {
	links, files, err := st.Links(ctx, c, log)
	if err != nil {
		return nil, err
	}
	targets, signer, err := st.Targets(ctx, c)
	if err != nil {
		return nil, err
	}
	temporary, err := c.Temporary()
	if err != nil {
		return nil, err
	}
	edge := transport.Options{
		Limits: c.Transport, TempDir: temporary, Memory: transport.NewMemory(uploadMemory),
		Decoded: transport.NewMemory(decodedMemory), RequestID: request.ID, Idempotency: d.keyed, Log: log,
		Streams: transport.NewStreams(transport.Streams{
			Authenticate: d.persons.Authenticate, While: d.watch.While, Stopping: ctx,
			Origins: c.Origins, Operations: c.Operations, InitTimeout: c.InitTimeout, Timeout: c.Timeout,
			Limits: c.Streams,
		}),
	}
	trusted, err := c.Documents()
	if err != nil {
		return nil, err
	}
	operations, err := graph.NewHandler(&graph.Resolver{
		DB:          st.DB,
		Images:      d.photos,
		Annotations: d.annotations,
		Labels:      d.labels,
		Bundles:     d.bundles,
		People:      d.persons,
		Events:      d.events,
		Links:       links,
		Targets:     targets,
		Server:      info(c),
	}, graph.Options{Guard: c.Guard, QueryTokens: c.QueryTokens, Trusted: trusted, TrustedOnly: c.TrustedOnly, Transport: edge, Log: log, Metrics: metrics})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	open := func(next http.Handler) http.Handler { return httpd.CrossOrigin(next, c.Origins) }
	mux.Handle("/graphql", open(httpd.Authenticate(operations, d.persons.Authenticate, edge.WriteError, log)))
	if files != nil {
		mux.Handle(filelink.Prefix, open(files))
	}
	mux.Handle(filelink.TargetPrefix, open(filelink.Receiver(signer, d.bundles.Receive, log)))
	mux.Handle("GET /schema.graphql", open(text(contract)))
	mux.Handle("GET /healthz", text([]byte("ok\n")))
	mux.Handle("GET /readyz", httpd.Ready(log, map[string]func(context.Context) error{
		"database": st.DB.SQL.PingContext,
		"storage":  st.Accessible,
	}))
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.Handle("/", web.Playground())
	return httpd.Wrap(mux, httpd.Options{
		Log: log, Metrics: metrics, TrustProxy: c.TrustProxy, Timeout: c.Timeout, UploadTimeout: c.UploadTimeout,
	}), nil
}

// info is what the server says of itself.
func info(c *config.Config) model.ServerInfo {
	return model.ServerInfo{Name: "Tagma", Version: version, Limits: &model.Limits{
		BodyBytes:          c.Transport.JSONBytes,
		QueryBytes:         c.Transport.QueryBytes,
		QueryTokens:        c.QueryTokens,
		Depth:              c.Guard.Depth,
		IntrospectionDepth: c.Guard.IntrospectionDepth,
		RootFields:         c.Guard.RootFields,
		Fields:             c.Guard.Fields,
		Aliases:            c.Guard.Aliases,
		Directives:         c.Guard.Directives,
		Fragments:          c.Guard.Fragments,
		Repeats:            guard.MostRepeats,
		Comparisons:        guard.MostComparisons,
		Cost:               int64(c.Guard.Cost),
		DefaultPageSize:    c.Guard.DefaultPage,
		MaxPageSize:        c.Guard.Page,
		FileBytes:          c.Transport.FileBytes,
		Files:              c.Transport.Files,
		MapBytes:           c.Transport.MapBytes,
		UploadBytes:        c.Transport.TotalBytes,
		Pixels:             c.Pixels,
		BundleFiles:        c.Bundles.Files,
		BundleFileBytes:    c.Bundles.FileBytes,
		BundleBytes:        c.Bundles.Bytes,
		RequestSeconds:     int(c.Timeout.Seconds()),
		UploadSeconds:      int(c.UploadTimeout.Seconds()),
		LabelWaitSeconds:   int(graph.LongestLabelWait.Seconds()),
		Keys:               images.MaxKeys,
		Ids:                graph.MaxNodes,
		Series:             series.MaxSeries,
		ActivityBuckets:    activity.MaxBuckets,
		Annotations:        annotations.MaxInput,
		Objects:            annotations.MaxObjects,
		Vertices:           contour.MaxVertices,
		Users:              people.MaxNewUsers,
		Tokens:             people.MaxTokens,

		Streams:                  c.Streams.All,
		StreamsPerPerson:         c.Streams.Person,
		PendingSockets:           c.Streams.Pending,
		PendingSocketsPerAddress: c.Streams.PendingAddress,
		SocketOperations:         c.Operations,
		Scans:                    thumbnail.MaxScans,
		DecodeBytes:              images.MaxDecodeBytes,
	}}
}

func text(content []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(content)
	})
}

// headroom is memory that is held and never touched, so that it takes no room of
// the machine's. The collector runs when the heap has doubled: as a server's own
// data are some ten MB, that is many times a second under load.
// Whoever paces the collector by its environment gets what they ask for.
func headroom() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, 16<<20)
}
