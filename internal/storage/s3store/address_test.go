package s3store

import (
	"strings"
	"testing"
)

func TestParse_WhatAnAddressSays(t *testing.T) {
	for text, want := range map[string]address{
		"s3://photographs":                                     {bucket: "photographs"},
		"s3://photographs/?region=eu-west-1":                   {bucket: "photographs", region: "eu-west-1"},
		"s3://p.h-1?endpoint=https://s3.example.org/":          {bucket: "p.h-1", endpoint: "https://s3.example.org", pathStyle: true},
		"s3://photographs?endpoint=http://127.0.0.1:9000":      {bucket: "photographs", endpoint: "http://127.0.0.1:9000", pathStyle: true},
		"s3://photographs?endpoint=https://a&path_style=false": {bucket: "photographs", endpoint: "https://a"},
		"s3://photographs?path_style=true&profile=lab":         {bucket: "photographs", pathStyle: true, profile: "lab"},
		"s3://photographs?endpoint=http%3A%2F%2Fs3%3A7070&public_endpoint=https://files.example.org": {
			bucket: "photographs", endpoint: "http://s3:7070", public: "https://files.example.org", pathStyle: true,
		},
	} {
		if got, err := parse(text); got != want || err != nil {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParse_AllThatIsWrongIsToldAtOnceAndNoSecretIsShown(t *testing.T) {
	const secret = "wJalrXUtnFEMI"
	for text, wants := range map[string][]string{
		"s3:photographs":                 {"write s3://"},
		"s4://photographs":               {"write s3://"},
		"s3://%zz" + secret + "@b":       {"write s3://"},
		"s3://":                          {`"" is no name`},
		"s3://A_B?x=1":                   {`"A_B" is no name`, `no parameter "x"`},
		"s3://photographs/a":             {"nothing may follow"},
		"s3://photographs#a":             {"nothing may follow"},
		"s3://photographs:80":            {"is no name"},
		"s3://AKIA:" + secret + "@photo": {"credentials do not belong in the address"},
		"s3://" + secret + "@photo?region=a&region=b&secret_key=" + secret + "&endpoint=https://u:" + secret + "@h&path_style=maybe&public_endpoint=ftp://x": {
			"credentials do not belong", "region is given twice", `no parameter "secret_key"`, "endpoint must be", "path_style is", "public_endpoint must be",
		},
		"s3://photographs?endpoint=s3.example.org":         {"endpoint must be like"},
		"s3://photographs?endpoint=https://h/folder":       {"endpoint must be like"},
		"s3://photographs?endpoint=https://h?x=1":          {"endpoint must be like"},
		"s3://photographs?region=%zz&endpoint=" + secret:   {"cannot be read"},
		"s3://photographs?AWS_SECRET_ACCESS_KEY=" + secret: {"no parameter"},
	} {
		_, err := parse(text)
		if err == nil {
			t.Errorf("%s is taken", text)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", text, err, want)
			}
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q shows the secret", err)
		}
	}
}
