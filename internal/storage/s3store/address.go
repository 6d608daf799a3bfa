package s3store

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Scheme begins the address of an S3 store.
const Scheme = "s3://"

// address is the address of a bucket, as written by the operator:
// s3://bucket?region=…&endpoint=…&public_endpoint=…&path_style=…&profile=…
type address struct {
	bucket    string
	region    string // if empty, the region of the environment
	endpoint  string // if empty, the endpoint of AWS
	public    string // the endpoint in links; if empty, endpoint
	pathStyle bool   // https://endpoint/bucket/key rather than https://bucket.endpoint/key
	profile   string // a profile of AWS's files; if empty, the profile of the environment
}

var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// parse returns the address in text. The error names every problem, and contains no
// possible secret.
func parse(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(text, Scheme) {
		return address{}, errors.New("write s3://bucket?region=…&endpoint=https://…")
	}
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if u.User != nil {
		problem("credentials do not belong in the address: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use AWS's files")
	}
	if u.User == nil && !bucketForm.MatchString(u.Host) {
		problem("%.70q is no name of a bucket", u.Host)
	}
	if u.Path != "" && u.Path != "/" || u.Fragment != "" {
		problem("nothing may follow the bucket but ?region=… and so on")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		problem("what follows the question mark cannot be read")
	}
	a := address{bucket: u.Host}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		value := query[name][0]
		if len(query[name]) > 1 {
			problem("%s is given twice", name)
		}
		switch name {
		case "region":
			a.region = value
		case "profile":
			a.profile = value
		case "endpoint":
			a.endpoint = endpoint(name, value, problem)
		case "public_endpoint":
			a.public = endpoint(name, value, problem)
		case "path_style":
			if a.pathStyle, err = strconv.ParseBool(value); err != nil {
				problem("path_style is true or false")
			}
		default:
			problem("there is no parameter %.40q: there are region, endpoint, public_endpoint, path_style and profile", name)
		}
	}
	if !query.Has("path_style") {
		a.pathStyle = a.endpoint != "" // every store but AWS supports path style
	}
	return a, errors.Join(problems...)
}

func endpoint(name, value string, problem func(string, ...any)) string {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		problem("%s must be like https://s3.example.org, and no more", name)
		return ""
	}
	return u.Scheme + "://" + u.Host
}
