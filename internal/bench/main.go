// Command bench measures the speed of Tagma's answers over HTTP, on SQLite and on
// PostgreSQL, compared with the baseline, a server written for these jobs only: see
// docs/performance.md.
//
// Each server is a process of its own. The servers are measured in turn, in rounds. So
// other load on the machine slows all servers alike, and the ratio is meaningful. Before
// the measurement the answers are compared.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tagma/internal/bench/dataset"
	"tagma/internal/testing/pgserver"
)

// settings are the flags.
type settings struct {
	folder    string
	postgres  string
	databases []string
	only      *regexp.Regexp
	candidate string
	repeat    int
	cell      time.Duration
	clients   []int
	peers     bool  // compare with the peers
	large     int   // the number of images for sums by hour, with peers
	labels    []int // numbers of files in label repositories; if set, only submissions are measured
	growth    []int // numbers of images; if set, only growth is measured
	data      dataset.Options
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to be stopped
	}
}

func run(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	baseline := flags.String("baseline", "", "be the baseline on this database (for the benchmark's own use)")
	databases := flags.String("databases", "sqlite,postgres", "databases to measure on")
	clients := flags.String("clients", "1,8", "numbers of clients")
	labelFiles := flags.String("labels", "", "measure submissions of labels instead, into git repositories of that many files: 1000 or 1000,100000")
	growth := flags.String("growth", "", "measure how much slower things are on larger tables instead, of so many images: 100000,1000000,10000000")
	only := flags.String("jobs", "", "measure only the jobs whose title this regular expression matches")
	flags.BoolVar(&s.peers, "peers", false, "measure beside Tagma's peers instead: the table of goals")
	flags.IntVar(&s.large, "large", 1_000_000, "images of which -peers sums up the hours")
	flags.StringVar(&s.folder, "data", "bench-data", "folder where the data are kept for the next run")
	flags.StringVar(&s.postgres, "postgres", "", "a PostgreSQL server, postgres://…, whose user may create databases; one is started if it is empty")
	flags.StringVar(&s.candidate, "rival", "", `another Tagma to measure too, with its environment: "GOGC=400 path/to/tagma"`)
	flags.IntVar(&s.repeat, "rounds", 5, "rounds, of which the median counts")
	flags.DurationVar(&s.cell, "cell", time.Second, "time for each server in each round")
	flags.IntVar(&s.data.Devices, "devices", 100, "devices")
	flags.IntVar(&s.data.Images, "images", 1000, "images of each device")
	flags.IntVar(&s.data.Objects, "objects", 20, "objects of each image's annotation")
	flags.IntVar(&s.data.Points, "points", 12, "points of each object's contour")
	flags.Uint64Var(&s.data.Seed, "seed", 1, "of what is random in the data")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *baseline != "" {
		return serveBaseline(ctx, *baseline)
	}
	s.databases = strings.Split(*databases, ",")
	var err error
	if s.clients, err = numbers("clients", *clients); err != nil {
		return err
	}
	if s.labels, err = numbers("labels", *labelFiles); err != nil {
		return err
	}
	if s.growth, err = numbers("growth", *growth); err != nil {
		return err
	}
	if s.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if err := os.MkdirAll(s.folder, 0o755); err != nil {
		return err
	}
	if s.folder, err = filepath.Abs(s.folder); err != nil {
		return err
	}
	return s.measure(ctx, "go run ./internal/bench "+strings.Join(args, " "))
}

// numbers returns the numbers of a list in a flag. The list may be empty.
func numbers(flag, text string) ([]int, error) {
	var all []int
	for _, number := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(number)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("-%s: %q is not a number above 0", flag, number)
		}
		all = append(all, n)
	}
	return all, nil
}

// measure runs the selected measurements, and prints the results.
func (s *settings) measure(ctx context.Context, command string) error {
	binary, err := build(ctx, s.folder)
	if err != nil {
		return err
	}
	var server url.URL
	version := ""
	for _, name := range s.databases {
		switch name {
		case "sqlite":
		case "postgres":
			var stop func()
			if server, stop, err = s.server(); err != nil {
				return err
			}
			defer stop()
			if version, err = ask[string](ctx, server, `SHOW server_version`); err != nil {
				return err
			}
		default:
			return fmt.Errorf("-databases: %q is neither sqlite nor postgres", name)
		}
	}
	if len(s.labels) > 0 {
		fmt.Printf("%s\n\n    %s\n", machine(version), strings.TrimSpace(command))
		return s.measureLabels(ctx, binary, server)
	}
	if len(s.growth) > 0 {
		fmt.Printf("%s\n\n    %s\n", machine(version), strings.TrimSpace(command))
		return s.measureGrowth(ctx, binary, server)
	}
	fmt.Printf("%s\n\n    %s\n\n%d devices × %d images, %d objects × %d points each; medians of %d rounds of %s.\n",
		machine(version), strings.TrimSpace(command), s.data.Devices, s.data.Images, s.data.Objects, s.data.Points, s.repeat, s.cell)
	if s.peers {
		return s.measurePeers(ctx, binary, server)
	}
	for _, name := range s.databases {
		var databaseURL string
		if name == "sqlite" {
			databaseURL, err = fillSQLite(ctx, s.folder, s.data)
		} else {
			databaseURL, err = fillPostgres(ctx, server, s.data)
		}
		if err != nil {
			return err
		}
		if err := s.reads(ctx, name, binary, databaseURL); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if s.only.MatchString(uploadTitle) {
			if err := s.writes(ctx, name, binary, server); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// server returns the address of the PostgreSQL server, and a function that stops it.
func (s *settings) server() (url.URL, func(), error) {
	if s.postgres != "" {
		address, err := url.Parse(s.postgres)
		if err != nil {
			return url.URL{}, nil, errors.New("-postgres: write postgres://user:password@host:port/database")
		}
		return *address, func() {}, nil
	}
	started, err := pgserver.Start(pgserver.Options{Data: filepath.Join(s.folder, "postgres"), Durable: true})
	if err != nil {
		return url.URL{}, nil, err
	}
	return started.Address, started.Stop, nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
