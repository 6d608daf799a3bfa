// Command golang asks Tagma with nothing but Go's standard library:
//
//	go run . PHOTOGRAPH…
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
)

// tagma holds the address of a server and the token for requests.
type tagma struct{ url, token string }

// failure is an error in an answer. A program decides by the code: see
// docs/errors.md.
type failure struct {
	Message    string
	Extensions struct{ Code string }
}

func (f *failure) Error() string { return f.Extensions.Code + ": " + f.Message }

type vars map[string]any

// ask sends an operation, and stores the data of the answer in to. ask returns
// the first error of the answer.
func (t *tagma) ask(to any, query string, variables vars) error {
	body, err := json.Marshal(vars{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	return t.send(to, bytes.NewReader(body), "application/json")
}

// upload is ask for an operation with the variable $files. upload sends the
// files while reading, so no file is in memory as a whole.
func (t *tagma) upload(to any, query string, paths []string) error {
	places := map[string][]string{}
	for n := range paths {
		places[fmt.Sprint(n)] = []string{fmt.Sprintf("variables.files.%d", n)}
	}
	body, pipe := io.Pipe()
	form := multipart.NewWriter(pipe)
	go func() {
		pipe.CloseWithError(func() error {
			operations := vars{"query": query, "variables": vars{"files": make([]any, len(paths))}}
			if err := field(form, "operations", operations); err != nil {
				return err
			}
			if err := field(form, "map", places); err != nil {
				return err
			}
			for n, path := range paths {
				if err := file(form, fmt.Sprint(n), path); err != nil {
					return err
				}
			}
			return form.Close()
		}())
	}()
	return t.send(to, body, form.FormDataContentType())
}

func field(form *multipart.Writer, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return form.WriteField(name, string(text))
}

func file(form *multipart.Writer, name, path string) error {
	content, err := os.Open(path)
	if err != nil {
		return err
	}
	defer content.Close()
	part, err := form.CreateFormFile(name, filepath.Base(path))
	if err != nil {
		return err
	}
	_, err = io.Copy(part, content)
	return err
}

func (t *tagma) send(to any, body io.Reader, contentType string) error {
	request, err := http.NewRequest(http.MethodPost, t.url+"/graphql", body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	if t.token != "" {
		request.Header.Set("Authorization", "Bearer "+t.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Data   json.RawMessage
		Errors []*failure
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if len(answer.Errors) > 0 {
		return answer.Errors[0]
	}
	return json.Unmarshal(answer.Data, to)
}

func run(paths []string) error {
	t := &tagma{url: cmp.Or(os.Getenv("TAGMA_URL"), "http://127.0.0.1:8080")}
	var session struct{ Login struct{ Token string } }
	err := t.ask(&session, `mutation SignIn($username: String!, $password: String!) {
		login(username: $username, password: $password) { token }
	}`, vars{"username": os.Getenv("TAGMA_USER"), "password": os.Getenv("TAGMA_PASSWORD")})
	if err != nil {
		return err
	}
	t.token = session.Login.Token

	var uploaded struct {
		UploadImages struct {
			Results []struct {
				Filename, Verdict string
				Image             struct {
					TakenAt, Md5 string
					Device       struct{ Name string }
				}
			}
		}
	}
	err = t.upload(&uploaded, `mutation Upload($files: [Upload!]!) {
		uploadImages(files: $files) {
			results { filename verdict image { takenAt md5 device { name } } }
		}
	}`, paths)
	if err != nil {
		return err
	}
	for _, result := range uploaded.UploadImages.Results {
		fmt.Println(result.Filename, result.Verdict)
	}

	image := uploaded.UploadImages.Results[0].Image
	err = t.ask(&struct{}{}, `mutation Annotate($input: [AnnotationInput!]!) {
		putAnnotations(input: $input) { results { annotation { id } } }
	}`, vars{"input": []vars{{
		"image":     vars{"device": image.Device.Name, "takenAt": image.TakenAt},
		"md5":       image.Md5,
		"algorithm": vars{"name": "by-hand", "version": "1"},
		"objects":   []vars{{"name": "moth", "contour": [][]int{{10, 10}, {60, 10}, {35, 50}}}},
	}}})
	if err != nil {
		return err
	}

	series := []vars{{"device": image.Device.Name, "start": "2020-01-01T00:00:00Z", "end": "2030-01-01T00:00:00Z"}}
	for more, after := true, (*string)(nil); more; {
		var page struct {
			ImageSeries struct {
				Nodes []struct {
					TakenAt     string
					Annotations []struct{ Objects []struct{ Name string } }
				}
				PageInfo struct {
					HasNextPage bool
					EndCursor   *string
				}
			}
		}
		err := t.ask(&page, `query Series($series: [SeriesInput!]!, $after: String) {
			imageSeries(series: $series, first: 2, after: $after) {
				nodes { takenAt annotations { objects { name } } }
				pageInfo { hasNextPage endCursor }
			}
		}`, vars{"series": series, "after": after})
		if err != nil {
			return err
		}
		for _, node := range page.ImageSeries.Nodes {
			fmt.Println(node.TakenAt, len(node.Annotations))
		}
		more, after = page.ImageSeries.PageInfo.HasNextPage, page.ImageSeries.PageInfo.EndCursor
	}
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}
