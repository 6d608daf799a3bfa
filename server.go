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
	"math"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
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
	"tagma/internal/base/contour"
	"tagma/internal/base/cost"
	"tagma/internal/base/instant"
	"tagma/internal/base/password"
	"tagma/internal/base/request"
	"tagma/internal/base/throttle"
	buildversion "tagma/internal/base/version"
	"tagma/internal/cli/command"
	"tagma/internal/domain/activity"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/domain/labels"
	"tagma/internal/domain/people"
	"tagma/internal/domain/series"
	"tagma/internal/gql/guard"
	"tagma/internal/gql/idempotency"
	"tagma/internal/gql/transport"
	"tagma/internal/photo/thumbnail"
	"tagma/internal/server/backup"
	"tagma/internal/server/config"
	"tagma/internal/server/httpd"
	"tagma/internal/server/integrity"
	"tagma/internal/server/scrub"
	"tagma/internal/server/store"
	"tagma/internal/server/sweep"
	"tagma/internal/storage/database"
	"tagma/internal/storage/events"
	"tagma/internal/storage/filelink"
	"tagma/internal/storage/health"
	"tagma/internal/storage/identity"
	"tagma/internal/storage/leader"
	"tagma/internal/storage/ownership"
	"tagma/web"
)

//go:embed schema.graphql
var contract []byte

// version is set by the linker when a release is built: see build.
var version string

// build returns what this build calls itself.
func build() string {
	info, _ := debug.ReadBuildInfo()
	return buildversion.Of(version, info)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := command.Root(build(), func(cmd *cobra.Command, c *config.Config) error {
		return serve(cmd.Context(), c, cmd.OutOrStdout())
	})
	if err := root.ExecuteContext(ctx); err != nil {
		os.Exit(command.Fail(os.Stderr, err))
	}
}

// serve runs a server until ctx ends, and then lets its requests finish.
func serve(ctx context.Context, c *config.Config, out io.Writer) error {
	defer runtime.KeepAlive(headroom())
	log, err := store.Logger(c)
	if err != nil {
		return err
	}
	repository, err := c.LabelRepo() // it is opened later, by the server that leads
	if err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	lock, err := store.Acquire(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }() // after the store is closed
	st, err := store.Open(ctx, c, log, request.CountStatement)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	if err := st.LogOpening(ctx, c, log); err != nil {
		return err
	}
	backups, err := schedule(c, st, st.Identity, log, metrics)
	if err != nil {
		return err
	}
	d := newDomain(c, st, log)
	routes, err := handler(ctx, c, st, d, log, metrics)
	if err != nil {
		return err
	}
	listener, err := httpd.Listen(c.Listen)
	if err != nil {
		return err
	}
	if err := lock.Describe("http://" + listener.Addr().String() + "/"); err != nil {
		return err
	}
	initial, err := d.people.EnsureAdmin(ctx)
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
	sweeping := sweep.Start(background, log, st.DB, st.Folder, ownership.New(st.DB, st.Bucket, instant.System), d.images, d.bundles, d.people, d.idempotency)
	posting := leader.Start(background, st.DB, log, "labels", func(ctx context.Context) error {
		return labels.Keep(ctx, d.labels, labels.Layout(c.Labels.Layout), log, c.Labels.Repo != "", func(ctx context.Context) (*labelrepo.Repo, error) {
			return store.OpenLabels(ctx, c, log)
		})
	})
	backingUp, watchingBackups := startBackups(background, st.DB, log, backups)
	scrubbing := startScrub(background, c, st, d, repository, log, metrics)
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
	<-backingUp
	<-watchingBackups
	<-scrubbing
	<-telling
	<-watching
	return errors.Join(err, server.Close())
}

// schedule returns the schedule of backups, or nil if the settings ask for none.
func schedule(c *config.Config, st *store.Store, id identity.Identity, log *slog.Logger, metrics *prometheus.Registry) (*backup.Schedule, error) {
	if c.Backup.To == "" {
		return nil, nil
	}
	source := backup.Source{DB: st.DB, Bucket: st.Bucket, Place: command.Place(c, st)}
	plan := backup.Plan{Folder: c.Backup.To, Every: c.Backup.Every, Keep: c.Backup.Keep}
	backups, err := backup.NewSchedule(source, id, plan, instant.System, log)
	if err != nil {
		return nil, fmt.Errorf("--backup-to: %w", err)
	}
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tagma_backup_age_seconds",
		Help: "Age of the newest complete backup in --backup-to; while there is none, age of the store.",
	}, func() float64 { return backups.Age().Seconds() }))
	return backups, nil
}

// startBackups makes backups on the server that leads, and watches their age on
// each. The channels are closed when the work has ended.
func startBackups(ctx context.Context, db *database.DB, log *slog.Logger, backups *backup.Schedule) (made, watched <-chan struct{}) {
	if backups == nil {
		ended := make(chan struct{})
		close(ended)
		return ended, ended
	}
	return leader.Start(ctx, db, log, "backup", backups.Run), backups.Watch(ctx)
}

// domain is what the server keeps.
type domain struct {
	images      *images.Service
	annotations *annotations.Service
	labels      *labels.Service
	bundles     *bundles.Service
	people      *people.Service
	idempotency *idempotency.Keeper

	hub    *events.Hub
	events graph.Events
	watch  *people.Watch
}

func newDomain(c *config.Config, st *store.Store, log *slog.Logger) domain {
	imageService := images.New(st.DB, st.Bucket, instant.System, c.Images())
	d := domain{
		images:      imageService,
		annotations: annotations.New(st.DB, imageService, instant.System, c.Page()),
		labels:      labels.New(st.DB, instant.System, c.Page()),
		bundles:     bundles.New(st.DB, st.Bucket, instant.System, c.BundleLimits()),
		people:      people.New(st.DB, instant.System, password.New(password.Options{}), throttle.New(instant.System, throttle.Options{}), c.Page()),
		hub:         events.New(st.DB, log),
		idempotency: idempotency.New(st.DB, instant.System),
	}
	d.watch = people.NewWatch(d.people)
	d.events = graph.Events{
		Images:      events.NewTopic(d.hub, events.Source[*ent.Image]{Name: "images", Table: image.Table, Load: d.images.ByIDs}),
		Annotations: events.NewTopic(d.hub, events.Source[*ent.Annotation]{Name: "annotations", Table: annotation.Table, Load: d.annotations.ByIDsWithImages}),
		Labels:      events.NewTopic(d.hub, events.Source[*ent.LabelSubmission]{Name: "labels", Table: labelsubmission.Table, Load: d.labels.SubmissionsWithVideos, State: labels.State}),
	}
	d.images.OnAdded(d.events.Images.Publish)
	d.annotations.OnAdded(d.events.Annotations.Publish)
	d.labels.OnChange(d.events.Labels.Publish)
	return d
}

// startScrub starts the server's check of its own store, if the settings ask for
// it, and registers what there is to count.
func startScrub(ctx context.Context, c *config.Config, st *store.Store, d domain, repository labelrepo.Config, log *slog.Logger, metrics *prometheus.Registry) <-chan struct{} {
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tagma_labels_damaged",
		Help: "1 on the server that leads while it pushes nothing, because the label repository is damaged: run tagma verify --mend.",
	}, func() float64 {
		if d.labels.Held() {
			return 1
		}
		return 0
	}))
	checked := integrity.Store{
		DB: st.DB, Bucket: st.Bucket, Images: d.images, Pairing: ownership.New(st.DB, st.Bucket, instant.System),
		Labels: d.labels, Repository: repository,
	}
	work := scrub.New(checked, scrub.Options{Rate: c.ScrubRate, Clock: instant.System, Log: log, Metrics: scrub.NewMetrics(metrics)})
	if c.ScrubRate == 0 { // and so leads nothing, which keeps a connection
		off := make(chan struct{})
		close(off)
		return off
	}
	return leader.Start(ctx, st.DB, log, "scrub", work.Run)
}

// uploadMemory is how many bytes of uploaded files wait in memory: as many as
// "tagma push" sends at once.
const uploadMemory = 64 << 20

// bodyMemory is how many bytes large JSON bodies take that are under way, or four times
// the limit of a body if that is more.
const bodyMemory = 64 << 20

// decodedMemory is how many bytes the values in large JSON bodies take: four of the
// largest bodies are decoded at once.
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
	writes := health.NewWrites(log, instant.System, st.DB.Place(), st.ProbeWrite)
	obstacle := func(ctx context.Context) string { return string(writes.Current(ctx)) }
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tagma_writable", Help: "1 while the server can write, as far as it knows, and 0 while a disk is full or a write is refused.",
	}, func() float64 {
		if obstacle(ctx) != "" {
			return 0
		}
		return 1
	}))
	edge := transport.Options{
		Failed: writes.Observe,

		Limits: c.Transport, TempDir: temporary, Memory: transport.NewMemory(uploadMemory),
		Bodies: transport.NewMemory(max(bodyMemory, 4*c.Transport.JSONBytes)), Decoded: transport.NewMemory(decodedMemory), Answers: cost.NewPool(c.Answers), RequestID: request.ID, Idempotency: d.idempotency, Log: log,
		Streams: transport.NewStreams(transport.Streams{
			Authenticate: d.people.Authenticate, CallerContext: d.watch.Context, Stopping: ctx,
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
		Images:      d.images,
		Annotations: d.annotations,
		Labels:      d.labels,
		Bundles:     d.bundles,
		People:      d.people,
		Events:      d.events,
		Links:       links,
		Targets:     targets,
		Server:      info(c),
	}, graph.Options{Guard: c.Guard, Cost: c.CostLimits(), QueryTokens: c.QueryTokens, Trusted: trusted, TrustedOnly: c.TrustedOnly, Transport: edge, Log: log, Metrics: metrics, Writes: writes})
	if err != nil {
		return nil, err
	}
	receive := func(ctx context.Context, name string, size int64, body io.Reader) error {
		return writes.Explain(ctx, d.bundles.Receive(ctx, name, size, body))
	}
	mux := http.NewServeMux()
	open := func(next http.Handler) http.Handler { return httpd.CrossOrigin(next, c.Origins) }
	mux.Handle("/graphql", open(httpd.Authenticate(operations, d.people.Authenticate, transport.ErrorWriter(edge), log)))
	if files != nil {
		mux.Handle(filelink.Prefix, open(files))
	}
	mux.Handle(filelink.TargetPrefix, open(filelink.Receiver(signer, receive, log)))
	mux.Handle("GET /schema.graphql", open(text(contract)))
	mux.Handle("GET /healthz", text([]byte("ok\n")))
	checks := httpd.Checks{"database": st.DB.SQL.PingContext, "storage": st.Accessible}
	mux.Handle("GET /readyz", httpd.Ready(log, checks, obstacle))
	mux.Handle("GET /readyz/write", httpd.ReadyToWrite(log, checks, func(ctx context.Context) string { return string(writes.Probe(ctx)) }))
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.Handle("/", web.Playground())
	return httpd.Wrap(mux, httpd.Options{
		Log: log, Metrics: metrics, TrustProxy: c.TrustProxy, Timeout: c.Timeout, UploadTimeout: c.UploadTimeout,
	}), nil
}

// info is what the server says of itself.
func info(c *config.Config) model.ServerInfo {
	return model.ServerInfo{Name: "Tagma", Version: build(), Limits: &model.Limits{
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
		ResolvedObjects:    c.Cost.Resolved,
		AnswerBytes:        c.Cost.Bytes,
		AnswerMemoryBytes:  c.Answers,
		DatabaseSeconds:    int(math.Ceil(c.Cost.Database.Seconds())),
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
