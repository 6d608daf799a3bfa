package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"

	"tagma/internal/bench/dataset"
	"tagma/internal/bench/jobs"
	"tagma/internal/storage/database"
)

// Growth is measured with one Tagma server for each size of the tables. All servers run at the
// same time, and one client measures the servers in turn, in rounds.

// sizedTarget is a server on tables of one size.
type sizedTarget struct {
	data   dataset.Options
	server *target
	bytes  map[string]int64 // of tables and indexes
	peak   int64            // of the server's memory
}

// measureGrowth measures growth on each database, and prints the results.
func (s *settings) measureGrowth(ctx context.Context, binary string, server url.URL) error {
	for _, kind := range s.databases {
		if err := s.measureGrowthOn(ctx, kind, binary, server); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func (s *settings) measureGrowthOn(ctx context.Context, kind, binary string, server url.URL) error {
	var all []*sizedTarget
	defer func() {
		for _, g := range all {
			_ = g.server.close()
		}
	}()
	for _, images := range s.growth {
		g := &sizedTarget{data: jobs.Sized(images, s.data.Objects, s.data.Points, s.data.Seed)}
		if err := s.grow(ctx, g, kind, binary, server); err != nil {
			return fmt.Errorf("%d images: %w", images, err)
		}
		all = append(all, g)
	}
	before := load()
	var rows []row
	for _, j := range jobs.Growth(fmt.Sprint(time.Now().Unix())) {
		if !s.only.MatchString(j.Title) {
			continue
		}
		r := row{title: j.Title, clients: 1, cells: make([][]sample, len(all))}
		if r.failure = s.measureJob(ctx, &r, j, all); ctx.Err() != nil {
			return ctx.Err()
		}
		progress("%s %s", kind, strings.TrimSpace(growthLine(r)))
		rows = append(rows, r)
	}
	fmt.Printf("\n### Growth on %s\n\nOne image of %d has an annotation, of %d objects with %d points; medians of %d rounds of %s, load %s to %s.\n\n%s\n%s",
		kind, all[0].data.OneOf, s.data.Objects, s.data.Points, s.repeat, s.cell, before, load(), growthTable(all, rows), sizeTable(all))
	return nil
}

// grow fills the tables if needed, and starts a server on them.
func (s *settings) grow(ctx context.Context, g *sizedTarget, kind, binary string, server url.URL) error {
	fill := func() (string, error) { return fillPostgres(ctx, server, g.data) }
	if kind == "sqlite" {
		fill = func() (string, error) { return fillSQLite(ctx, s.folder, g.data) }
	}
	databaseURL, err := fill()
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, databaseURL, database.Options{Connections: 1})
	if err != nil {
		return err
	}
	token, err := createToken(ctx, db)
	if err == nil {
		g.bytes, err = bytesOf(ctx, db)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	folder := filepath.Join(s.folder, fmt.Sprint(g.data.Total()))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	g.server, err = startTagma("Tagma", binary, folder, databaseURL, token, nil)
	return err
}

// measureJob measures one job on all targets.
func (s *settings) measureJob(ctx context.Context, r *row, j jobs.Job, all []*sizedTarget) error {
	requests := make([][]request, len(all))
	sent := make([]int, len(all))
	for n, g := range all {
		var err error
		if requests[n], err = g.server.requests(ctx, j, g.data); err != nil {
			return err
		}
	}
	// The first round is not counted: it fills the caches of each database.
	for round := range 1 + s.repeat {
		for n, g := range all {
			m, err := g.server.measure(1, s.cell, func() error {
				sent[n]++
				return g.server.send(ctx, requests[n][sent[n]%len(requests[n])], io.Discard)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", g.size(), err)
			}
			if g.peak = max(g.peak, m.peak); round > 0 {
				r.cells[n] = append(r.cells[n], m)
			}
		}
	}
	return nil
}

// growthLine returns a row of the table: for each size the time of a request, and the ratio
// to the time at the smallest size.
func growthLine(r row) string {
	line := "| " + r.title + " |"
	if r.failure != nil {
		return line + fmt.Sprintf(" failed: %.200q |\n", r.failure)
	}
	for n, cells := range r.cells {
		line += fmt.Sprintf(" %s / %s |", short(quantile(cells, 0.5)), short(quantile(cells, 0.99)))
		if n > 0 {
			line += fmt.Sprintf(" **%.2f** |", r.ratio(0, n))
		}
	}
	return line + "\n"
}

func growthTable(all []*sizedTarget, rows []row) string {
	head, rule := "| p50 / p99 ms, one client |", "|---|"
	for n, g := range all {
		head, rule = head+" "+g.size()+" |", rule+"--:|"
		if n > 0 {
			head, rule = head+" × |", rule+"--:|"
		}
	}
	table := head + "\n" + rule + "\n"
	for _, r := range rows {
		table += growthLine(r)
	}
	return table
}

// sizeTable returns a table of the sizes of tables and indexes.
func sizeTable(all []*sizedTarget) string {
	head, rule := "| MB |", "|---|"
	names := map[string]bool{}
	for _, g := range all {
		head, rule = head+" "+g.size()+" |", rule+"--:|"
		for name := range g.bytes {
			names[name] = true
		}
	}
	table := head + "\n" + rule + "\n"
	largest := all[len(all)-1].bytes
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b string) int { return cmp.Compare(largest[b], largest[a]) }) {
		table += "| " + name + " |"
		for _, g := range all {
			table += fmt.Sprintf(" %s |", short(float64(g.bytes[name])/(1<<20)))
		}
		table += "\n"
	}
	table += "| the server's peak memory |"
	for _, g := range all {
		table += fmt.Sprintf(" %d |", g.peak>>20)
	}
	return table + "\n"
}

// size returns the number of images in short form, such as "10 k".
func (g *sizedTarget) size() string {
	switch total := g.data.Total(); {
	case total >= 1_000_000 && total%1_000_000 == 0:
		return fmt.Sprintf("%d M", total/1_000_000)
	case total >= 1000:
		return fmt.Sprintf("%d k", total/1000)
	default:
		return fmt.Sprint(total)
	}
}

// bytesOf returns the sizes of the tables of images and annotations including values stored
// out of line, of the indexes of both, and of the whole database.
func bytesOf(ctx context.Context, db *database.DB) (map[string]int64, error) {
	query := `SELECT name, sum(pgsize) FROM dbstat WHERE name LIKE '%image%' OR name LIKE '%annotation%' GROUP BY name
		UNION ALL SELECT 'the whole database', sum(pgsize) FROM dbstat`
	if db.Dialect == dialect.Postgres {
		query = `SELECT relname, pg_table_size(oid) FROM pg_class WHERE oid IN ('images'::regclass, 'annotations'::regclass)
				OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN ('images'::regclass, 'annotations'::regclass))
			UNION ALL SELECT 'the whole database', pg_database_size(current_database())`
	}
	rows, err := db.SQL.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return scanBytes(rows)
}

func scanBytes(rows *sql.Rows) (map[string]int64, error) {
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var name string
		var size int64
		if err := rows.Scan(&name, &size); err != nil {
			return nil, err
		}
		all[name] = size
	}
	return all, rows.Err()
}

// load returns the load average of the machine in the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}
