package annotate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// source is a file with documents. Files reads each source twice.
type source struct {
	name string // as the caller gave it
	path string
	temp bool // path is a copy, to be removed
}

// openSources returns the files of names in order. Standard input and pipes are
// copied into temporary files, because each source is read twice. The caller calls
// removeCopies.
func openSources(names []string, stdin io.Reader) ([]source, error) {
	sources := make([]source, 0, len(names))
	for _, name := range names {
		s := source{name: name, path: name}
		input := stdin
		if name != standardInput {
			info, err := os.Stat(name)
			if err != nil || info.Mode().IsRegular() || info.IsDir() { // reading the source reports an error
				sources = append(sources, s)
				continue
			}
			pipe, err := os.Open(name)
			if err != nil {
				return sources, err
			}
			defer pipe.Close()
			input = pipe
		}
		var err error
		if s.path, err = copyToTemp(input); err != nil {
			return sources, fmt.Errorf("%s cannot be copied into a temporary file: %w", name, err)
		}
		s.temp = true
		sources = append(sources, s)
	}
	return sources, nil
}

func copyToTemp(input io.Reader) (path string, err error) {
	file, err := os.CreateTemp("", "tagma-annotate-*.json")
	if err != nil {
		return "", err
	}
	if _, err = io.Copy(file, input); err != nil {
		return "", errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return file.Name(), file.Close()
}

func removeCopies(sources []source) {
	for _, s := range sources {
		if s.temp {
			_ = os.Remove(s.path)
		}
	}
}

// read calls visit with each document of a source. Invalid JSON is a document with a
// problem and ends the source, because the start of the next document is unknown.
func (s source) read(visit func(*document) error) error {
	place := func(n int) string {
		if n == 1 {
			return s.name
		}
		return fmt.Sprintf("%s, document %d", s.name, n)
	}
	file, err := os.Open(s.path)
	if err != nil {
		return visit(&document{place: s.name, problems: []string{err.Error()}})
	}
	defer file.Close()
	reader := newReader(file)
	for n := 1; ; n++ {
		text, err := reader.next()
		switch {
		case errors.Is(err, io.EOF) && n > 1:
			return nil
		case errors.Is(err, io.EOF):
			err = errEmpty
		}
		if err != nil {
			return visit(&document{place: place(n), problems: []string{err.Error()}})
		}
		d := &document{place: place(n)}
		if err := checkText(text); err != nil {
			d.problem("%s", err)
		} else {
			d = parse(place(n), text)
		}
		if err := visit(d); err != nil {
			return err
		}
	}
}

var (
	errEmpty     = errors.New("it is empty")
	errEmptyList = errors.New("it is a list without documents")
	errCutShort  = errors.New("it is cut short")
	errUTF16     = errors.New("it is UTF-16: save it as UTF-8")
)

// reader reads the documents of a file: consecutive JSON values, or lists of JSON
// values. reader skips byte order marks, because Windows programs write byte order
// marks.
type reader struct {
	input   io.Reader
	decoder *json.Decoder
	start   int64 // position of the decoder's first byte in the file
	inList  bool
	items   int // of the list
}

const byteOrderMark = "\xef\xbb\xbf"

func newReader(input io.Reader) *reader {
	return &reader{input: input, decoder: json.NewDecoder(input)}
}

// next returns the next document, or io.EOF after the last.
func (r *reader) next() (json.RawMessage, error) {
	for {
		if r.inList && !r.decoder.More() {
			if err := r.endList(); err != nil {
				return nil, err
			}
			continue
		}
		if r.inList {
			r.items++
			return r.decode()
		}
		first, err := r.peek()
		switch {
		case err != nil:
			return nil, err
		case first == '[':
			if _, err := r.decoder.Token(); err != nil {
				return nil, r.explain(err)
			}
			r.inList, r.items = true, 0
		case first == byteOrderMark[0]:
			if !r.skipMark() {
				return r.decode()
			}
		case first == 0xff || first == 0xfe:
			return nil, errUTF16
		default:
			return r.decode()
		}
	}
}

// peek returns the first byte of the next value, or io.EOF. The byte stays unread.
func (r *reader) peek() (byte, error) {
	r.decoder.More() // skips spaces before a value, but not at the end of the file
	buffered := r.decoder.Buffered()
	for {
		var first [1]byte
		if _, err := io.ReadFull(buffered, first[:]); err != nil {
			return 0, err
		}
		if !bytes.ContainsAny(first[:], " \t\r\n") {
			return first[0], nil
		}
	}
}

// skipMark skips a byte order mark, and reports whether the input had a mark.
func (r *reader) skipMark() bool {
	rest := bufio.NewReader(io.MultiReader(r.decoder.Buffered(), r.input))
	r.start += r.decoder.InputOffset()
	mark, _ := rest.Peek(len(byteOrderMark))
	isMark := string(mark) == byteOrderMark
	if isMark {
		_, _ = rest.Discard(len(byteOrderMark))
		r.start += int64(len(byteOrderMark))
	}
	r.input, r.decoder = rest, json.NewDecoder(rest)
	return isMark
}

func (r *reader) endList() error {
	if _, err := r.decoder.Token(); err != nil {
		return r.explain(err)
	}
	r.inList = false
	if r.items == 0 {
		return errEmptyList
	}
	return nil
}

func (r *reader) decode() (json.RawMessage, error) {
	var text json.RawMessage
	if err := r.decoder.Decode(&text); err != nil {
		return nil, r.explain(err)
	}
	return text, nil
}

// surrogate matches an escaped surrogate at the start of a text, and an escaped low
// surrogate after the first.
var surrogate = regexp.MustCompile(`^\\u[dD]([89a-fA-F])[0-9a-fA-F]{2}(\\u[dD][c-fC-F][0-9a-fA-F]{2})?`)

// checkText returns an error for JSON with text outside Unicode. encoding/json
// replaces such text, so the server would store other text.
func checkText(text []byte) error {
	if !utf8.Valid(text) {
		valid := 0
		for size := 0; valid < len(text); valid += size {
			var char rune
			if char, size = utf8.DecodeRune(text[valid:]); char == utf8.RuneError && size == 1 {
				break
			}
		}
		return fmt.Errorf("it is not UTF-8 from byte %d of the document on: save it as UTF-8", valid+1)
	}
	for n := bytes.IndexByte(text, '\\'); n >= 0 && n < len(text); {
		match := surrogate.FindSubmatch(text[n:])
		isHigh := match != nil && bytes.ContainsAny(match[1], "89aAbB")
		switch {
		case match == nil:
			n += 2 // the escape \\ hides the next backslash
		case isHigh && match[2] != nil:
			n += len(match[0])
		default:
			return fmt.Errorf("it has the escape %s, half of a character: write the whole character", match[0][:6])
		}
		next := bytes.IndexByte(text[min(n, len(text)):], '\\')
		if next < 0 {
			return nil
		}
		n += next
	}
	return nil
}

// explain returns an error with the position of invalid JSON in the file.
func (r *reader) explain(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errCutShort
	}
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return err
	}
	hint := ""
	if strings.Contains(syntax.Error(), "'N'") || strings.Contains(syntax.Error(), "'I'") {
		hint = "; JSON has neither NaN nor Infinity: write null"
	}
	return fmt.Errorf("it is no JSON from byte %d on: %w%s", r.start+syntax.Offset, err, hint)
}
