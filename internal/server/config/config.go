// Package config owns the settings of a server and of its client. Each setting is a
// flag and an environment variable of the same name: --log-format is
// TAGMA_LOG_FORMAT. A flag overrides the environment.
//
// The input of a single run, such as `tagma push images --replace`, is a flag but no
// setting: package command owns such flags.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"tagma/internal/base/cost"
	"tagma/internal/base/page"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/domain/labels"
	"tagma/internal/gql/guard"
	"tagma/internal/gql/persisted"
	"tagma/internal/gql/transport"
	"tagma/internal/server/httpd"
)

// Config holds the settings of a server.
type Config struct {
	Listen      string
	Data        string
	Database    string
	Storage     string
	Connections int
	TrustProxy  bool
	Trusted     string // the path of the file of trusted documents, or empty
	TrustedOnly bool
	Origins     []string // origins of pages that may use the server from a browser
	LogFormat   string
	LogLevel    string

	Labels Labels
	Backup Backup

	LinkLifetime  time.Duration
	Timeout       time.Duration
	UploadTimeout time.Duration
	Drain         time.Duration

	ScrubRate int64 // bytes per second

	Streams     transport.StreamLimits
	Operations  int // at once on one socket
	InitTimeout time.Duration

	Transport   transport.Limits
	Guard       guard.Limits
	QueryTokens int
	Cost        cost.Limits // without the limit of objects: see CostLimits
	Answers     int64       // bytes of memory for all answers in progress
	Pixels      int64
	Decoders    int
	Bundles     bundles.Limits // without the limits of pages: see BundleLimits
}

// Default returns the settings of a server on a laptop.
func Default() *Config {
	return &Config{
		Listen:        "127.0.0.1:8080",
		Data:          "tagma-data",
		LogFormat:     "text",
		LogLevel:      "info",
		Connections:   8,
		Labels:        Labels{Branch: "main", Committer: "Tagma <tagma@tagma.invalid>", Layout: string(labels.FanOut), Username: "git", Timeout: time.Minute},
		Backup:        Backup{Every: 24 * time.Hour, Keep: 7},
		LinkLifetime:  time.Hour,
		Timeout:       30 * time.Second,
		UploadTimeout: 10 * time.Minute,
		Drain:         30 * time.Second,
		ScrubRate:     4 << 20,
		Streams:       transport.StreamLimits{All: 2000, Person: 50, Pending: 200, PendingAddress: 20},
		Operations:    20,
		InitTimeout:   5 * time.Second,
		Transport: transport.Limits{
			QueryBytes: 15 << 10,
			JSONBytes:  1 << 20,

			AnonymousBytes: 64 << 10,

			MapBytes:   64 << 10,
			Files:      100,
			FileBytes:  32 << 20,
			TotalBytes: 512 << 20,
		},
		Guard:       guard.DefaultLimits(),
		QueryTokens: 2000,
		Cost:        cost.Limits{}.OrDefaults(),
		Answers:     256 << 20,
		Pixels:      65_000_000, // a camera of 64 megapixels has 9248 × 6944
		Decoders:    runtime.GOMAXPROCS(0),
		Bundles: bundles.Limits{
			Files:     4000, // the most files that fit into a JSON body
			FileBytes: 5 << 30,
			Bytes:     20 << 30,
		},
	}
}

// setting is the annotation of a flag that has an environment variable.
const setting = "tagma-setting"

// declare adds flags that are settings. Each flag gets an environment variable, and its
// help text names the variable.
func declare(to *pflag.FlagSet, add func(flags *pflag.FlagSet)) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	add(flags)
	flags.VisitAll(func(f *pflag.Flag) {
		f.Usage = fmt.Sprintf("%s [%s]", f.Usage, Variable(f.Name))
		f.Annotations = map[string][]string{setting: nil}
	})
	to.AddFlagSet(flags)
}

// StoreFlags adds the flags for the places of the store, for all commands that use a
// store.
func (c *Config) StoreFlags(flags *pflag.FlagSet) { declare(flags, c.storeFlags) }

// ServeFlags adds the flags of a server.
func (c *Config) ServeFlags(flags *pflag.FlagSet) { declare(flags, c.serveFlags) }

// ListenFlag adds only the flag for the address of the server.
func (c *Config) ListenFlag(flags *pflag.FlagSet) { declare(flags, c.listenFlag) }

// LabelFlags adds the flags of the label repository.
func (c *Config) LabelFlags(flags *pflag.FlagSet) { declare(flags, c.Labels.flags) }

func (c *Config) storeFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.Data, "data", c.Data, "folder of the embedded database and store")
	flags.StringVar(&c.Database, "database", c.Database, "database: postgres://user:password@host/name?sslmode=…, or sqlite:PATH (default sqlite:DATA/tagma.db)")
	flags.StringVar(&c.Storage, "storage", c.Storage, "store of files: file:PATH, or s3://BUCKET?region=…&endpoint=… (default file:DATA/files)")
	flags.IntVar(&c.Connections, "database-connections", c.Connections, "most connections to the database; four at most to SQLite")
	flags.StringVar(&c.LogFormat, "log-format", c.LogFormat, "form of the log on standard error: text or json")
	flags.StringVar(&c.LogLevel, "log-level", c.LogLevel, "least level to log: debug, info, warn or error")
}

func (c *Config) listenFlag(flags *pflag.FlagSet) {
	flags.StringVar(&c.Listen, "listen", c.Listen, "address to listen on")
}

func (c *Config) serveFlags(flags *pflag.FlagSet) {
	c.listenFlag(flags)
	flags.BoolVar(&c.TrustProxy, "trust-proxy", c.TrustProxy, "take clients' addresses from the last entry of X-Forwarded-For, which a proxy in front sets")
	flags.StringVar(&c.Trusted, "trusted-documents", c.Trusted, "file of GraphQL documents that requests may name: a JSON object of documents by their ids, or Apollo's manifest (default none)")
	flags.BoolVar(&c.TrustedOnly, "trusted-documents-only", c.TrustedOnly, "answer no other documents than those (default off)")
	flags.StringSliceVar(&c.Origins, "cors-origins", c.Origins, "origins whose pages may use the server from a browser, such as https://lab.example.org, separated by commas; its own need not be named (default none)")
	flags.DurationVar(&c.LinkLifetime, "link-lifetime", c.LinkLifetime, "longest life of a link to a file")
	flags.DurationVar(&c.Timeout, "timeout", c.Timeout, "longest time of a request")
	flags.DurationVar(&c.UploadTimeout, "upload-timeout", c.UploadTimeout, "time that the body of an upload, and the client to read an answer, may take besides")
	flags.IntVar(&c.Streams.All, "max-streams", c.Streams.All, "sockets and event streams at once")
	flags.IntVar(&c.Streams.Person, "max-streams-per-person", c.Streams.Person, "sockets and event streams of one person at once")
	flags.IntVar(&c.Streams.Pending, "max-pending-sockets", c.Streams.Pending, "sockets at once whose clients have not signed in")
	flags.IntVar(&c.Streams.PendingAddress, "max-pending-sockets-per-address", c.Streams.PendingAddress, "sockets at once from one address, or one /64 of IPv6, whose clients have not signed in")
	flags.IntVar(&c.Operations, "max-socket-operations", c.Operations, "operations at once on one socket")
	flags.DurationVar(&c.InitTimeout, "socket-init-timeout", c.InitTimeout, "time that a socket has to say who is asking")
	c.Backup.flags(flags)
	flags.DurationVar(&c.Drain, "drain", c.Drain, "time that requests have to end when the server is stopped")
	flags.Int64Var(&c.ScrubRate, "scrub-rate", c.ScrubRate, "bytes in a second that the server reads of its own store, to find what the disk has lost; 0 reads nothing")

	flags.Int64Var(&c.Transport.JSONBytes, "max-body-bytes", c.Transport.JSONBytes, "bytes of a JSON body")
	flags.IntVar(&c.Transport.QueryBytes, "max-query-bytes", c.Transport.QueryBytes, "bytes of a query")
	flags.IntVar(&c.QueryTokens, "max-query-tokens", c.QueryTokens, "tokens of a query")
	flags.IntVar(&c.Guard.Depth, "max-depth", c.Guard.Depth, "depth of a query")
	flags.IntVar(&c.Guard.Aliases, "max-aliases", c.Guard.Aliases, "aliases of a query")
	flags.IntVar(&c.Guard.Cost, "max-cost", c.Guard.Cost, "objects that an answer may hold")
	flags.Int64Var(&c.Cost.Resolved, "max-resolved-objects", c.Cost.Resolved, "objects that an answer may hold of those that are resolved one by one")
	flags.Int64Var(&c.Cost.Bytes, "max-answer-bytes", c.Cost.Bytes, "bytes of an answer")
	flags.Int64Var(&c.Answers, "answer-memory", c.Answers, "bytes of memory that all answers may hold together until they are read; one answer gets half at most")
	flags.DurationVar(&c.Cost.Database, "max-database-time", c.Cost.Database, "time of the database that a request may take")
	flags.IntVar(&c.Guard.DefaultPage, "page-size", c.Guard.DefaultPage, "length of a page where first and last are left out")
	flags.IntVar(&c.Guard.Page, "max-page-size", c.Guard.Page, "length of the longest page")
	flags.Int64Var(&c.Transport.FileBytes, "max-file-bytes", c.Transport.FileBytes, "bytes of an uploaded file")
	flags.IntVar(&c.Transport.Files, "max-files", c.Transport.Files, "files of one upload")
	flags.Int64Var(&c.Transport.TotalBytes, "max-upload-bytes", c.Transport.TotalBytes, "bytes of one upload")
	flags.Int64Var(&c.Pixels, "max-pixels", c.Pixels, "pixels of a photograph")
	flags.IntVar(&c.Bundles.Files, "max-bundle-files", c.Bundles.Files, "files of a version of a bundle")
	flags.Int64Var(&c.Bundles.FileBytes, "max-bundle-file-bytes", c.Bundles.FileBytes, "bytes of a file of a bundle")
	flags.Int64Var(&c.Bundles.Bytes, "max-bundle-bytes", c.Bundles.Bytes, "bytes of a version of a bundle")
	flags.IntVar(&c.Decoders, "decoders", c.Decoders, "photographs decoded at once (default: as many as there are cores)")
}

// Check returns the errors of the settings, and sets the defaults that depend on other
// settings.
func (c *Config) Check() error {
	if c.Database == "" {
		c.Database = "sqlite:" + filepath.Join(c.Data, "tagma.db")
	}
	if c.Storage == "" {
		c.Storage = "file:" + filepath.Join(c.Data, "files")
	}
	var problems []error
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || !isPort(port) {
		problems = append(problems, fmt.Errorf("--listen cannot be %q: give HOST:PORT, such as 127.0.0.1:8080, or :8080 for all addresses of this machine", c.Listen))
	}
	if c.TrustedOnly && c.Trusted == "" {
		problems = append(problems, errors.New("--trusted-documents-only: give --trusted-documents too"))
	}
	for _, origin := range c.Origins {
		if err := httpd.CheckOrigin(origin); err != nil {
			problems = append(problems, fmt.Errorf("--cors-origins: %w", err))
		}
	}
	if c.LinkLifetime < 10*time.Minute || c.LinkLifetime > 7*24*time.Hour {
		problems = append(problems, errors.New("--link-lifetime: give from 10m to 168h"))
	}
	if c.Timeout <= 0 || c.UploadTimeout < 0 || c.Drain < 0 || c.InitTimeout <= 0 {
		problems = append(problems, errors.New("--timeout, --upload-timeout, --drain and --socket-init-timeout: give lengths of time such as 30s"))
	}
	if c.Cost.Database <= 0 {
		problems = append(problems, fmt.Errorf("--max-database-time is %s: give a length of time such as 20s", c.Cost.Database))
	}
	if c.Answers > 0 && c.Answers < 4*c.Cost.Bytes {
		problems = append(problems, fmt.Errorf("--answer-memory is %d: give at least four times --max-answer-bytes, which is %d", c.Answers, c.Cost.Bytes))
	}
	if c.Guard.DefaultPage > c.Guard.Page {
		problems = append(problems, errors.New("--page-size is more than --max-page-size"))
	}
	for _, limit := range []struct {
		flag  string
		value int64
	}{
		{"database-connections", int64(c.Connections)},
		{"max-body-bytes", c.Transport.JSONBytes},
		{"max-query-bytes", int64(c.Transport.QueryBytes)},
		{"max-query-tokens", int64(c.QueryTokens)},
		{"max-depth", int64(c.Guard.Depth)},
		{"max-cost", int64(c.Guard.Cost)},
		{"max-resolved-objects", c.Cost.Resolved},
		{"max-answer-bytes", c.Cost.Bytes},
		{"answer-memory", c.Answers},
		{"page-size", int64(c.Guard.DefaultPage)},
		{"max-page-size", int64(c.Guard.Page)},
		{"max-file-bytes", c.Transport.FileBytes},
		{"max-files", int64(c.Transport.Files)},
		{"max-upload-bytes", c.Transport.TotalBytes},
		{"max-pixels", c.Pixels},
		{"decoders", int64(c.Decoders)},
		{"max-streams", int64(c.Streams.All)},
		{"max-streams-per-person", int64(c.Streams.Person)},
		{"max-pending-sockets", int64(c.Streams.Pending)},
		{"max-pending-sockets-per-address", int64(c.Streams.PendingAddress)},
		{"max-socket-operations", int64(c.Operations)},
		{"max-bundle-files", int64(c.Bundles.Files)},
		{"max-bundle-file-bytes", c.Bundles.FileBytes},
		{"max-bundle-bytes", c.Bundles.Bytes},
	} {
		if limit.value <= 0 {
			problems = append(problems, fmt.Errorf("--%s is %d: give a number above 0", limit.flag, limit.value))
		}
	}
	if c.Connections < 3 && !strings.HasPrefix(c.Database, "sqlite:") {
		problems = append(problems, fmt.Errorf("--database-connections is %d: give 3 or more, for the server that leads keeps one for the labels and one for the scrub", c.Connections))
	}
	if c.ScrubRate < 0 {
		problems = append(problems, fmt.Errorf("--scrub-rate is %d: give 0 or more", c.ScrubRate))
	}
	if c.Guard.Aliases < 0 {
		problems = append(problems, fmt.Errorf("--max-aliases is %d: give 0 or more", c.Guard.Aliases))
	}
	problems = append(problems, c.Backup.check(c.Connections, c.Database)...)
	return errors.Join(append(problems, c.Labels.check()...)...)
}

// CostLimits returns the limits of an answer while the answer is made.
func (c *Config) CostLimits() cost.Limits {
	limits := c.Cost
	limits.Objects = int64(c.Guard.Cost)
	return limits
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// Page returns the lengths of pages.
func (c *Config) Page() page.Limits {
	return page.Limits{Default: c.Guard.DefaultPage, Max: c.Guard.Page}
}

// Images returns the limits of photographs.
func (c *Config) Images() images.Limits {
	return images.Limits{Page: c.Page(), Pixels: c.Pixels, FileBytes: c.Transport.FileBytes, Decoders: c.Decoders}
}

// Documents returns the documents in the file of trusted documents, by id. It returns nil
// if there is no file.
func (c *Config) Documents() (map[string]string, error) {
	if c.Trusted == "" {
		return nil, nil
	}
	file, err := os.ReadFile(c.Trusted)
	if err != nil {
		return nil, fmt.Errorf("--trusted-documents: %w", err)
	}
	trusted, err := persisted.Read(file)
	if err != nil {
		return nil, fmt.Errorf("--trusted-documents: %s: %w", c.Trusted, err)
	}
	return trusted, nil
}

// BundleLimits returns the limits of bundles.
func (c *Config) BundleLimits() bundles.Limits {
	limits := c.Bundles
	limits.Page = c.Page()
	return limits
}

// Temporary creates and returns the folder for the files of an upload, in the data folder.
// The files have no names, so a crash leaves no file.
func (c *Config) Temporary() (string, error) {
	folder := filepath.Join(c.Data, "tmp")
	return folder, os.MkdirAll(folder, 0o700)
}
