package like

import (
	"database/sql/driver"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"pgregory.net/rapid"

	"tagma/internal/base/fault"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// referenceMatch is what a pattern means, said as plainly as can be.
func referenceMatch(pattern, text []rune) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	switch pattern[0] {
	case '%':
		for n := range len(text) + 1 {
			if referenceMatch(pattern[1:], text[n:]) {
				return true
			}
		}
		return false
	case '_':
		return len(text) > 0 && referenceMatch(pattern[1:], text[1:])
	case '\\':
		pattern = pattern[1:]
	}
	return len(text) > 0 && text[0] == pattern[0] && referenceMatch(pattern[1:], text[1:])
}

// fold makes ASCII letters small.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ", r) {
			return r + 32
		}
		return r
	}, s)
}

// letters are few, so that patterns match by chance, and awkward: wildcards,
// escapes, quotes, letters that fold in some language, the last character
// before the surrogates, and the last of all.
var letters = []rune("aaabbAB%%%__\\\\-. '\"ÄäİıKß😀\ud7ff\ue000\U0010ffff")

func texts() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom(letters), 0, 6, -1)
}

// table is a table of names in a database.
type table struct {
	*database.DB
	t *testing.T
}

// each runs a test on both databases, and on a column that PostgreSQL sorts as
// English is sorted: punctuation counts for little there, and case for less.
func each(t *testing.T, test func(t *testing.T, tbl table)) {
	t.Helper()
	open := func(name, url, column string) {
		t.Run(name, func(t *testing.T) {
			db, err := database.Open(t.Context(), url, database.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			tbl := table{db, t}
			tbl.exec("CREATE TABLE names (name " + column + ")")
			test(t, tbl)
		})
	}
	open("SQLite", "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), "text")
	open("PostgreSQL", testenv.Postgres(t), "text")
	open("PostgreSQL in English", testenv.Postgres(t), `text COLLATE "en-x-icu"`)
}

func (tbl table) exec(statement string, args ...any) {
	tbl.t.Helper()
	if _, err := tbl.SQL.ExecContext(tbl.t.Context(), statement, args...); err != nil {
		tbl.t.Fatalf("%s: got %v, want no error", statement, err)
	}
}

// storeNames makes the names those that the table holds.
func (tbl table) storeNames(names []string) {
	tbl.t.Helper()
	source := "json_each($1)"
	if tbl.Dialect == dialect.Postgres {
		source = "json_array_elements_text($1::json) AS t(value)"
	}
	tbl.exec("DELETE FROM names")
	tbl.exec("INSERT INTO names SELECT value FROM "+source, database.JSON(names))
}

// selectNames gives the names for which a condition holds, sorted.
func (tbl table) selectNames(condition *sql.Predicate) []string {
	tbl.t.Helper()
	query, args := sql.Dialect(tbl.Dialect).Select("name").From(sql.Table("names")).Where(condition).Query()
	rows, err := tbl.SQL.QueryContext(tbl.t.Context(), query, args...)
	if err != nil {
		tbl.t.Fatalf("%s: got %v, want rows", query, err)
	}
	defer rows.Close()
	var names []string
	if err := sql.ScanSlice(rows, &names); err != nil {
		tbl.t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestMatch_SelectsWhatAPlainReadingOfThePatternDoesOnBothDatabases(t *testing.T) {
	each(t, func(t *testing.T, tbl table) {
		rapid.Check(t, func(r *rapid.T) {
			pattern := texts().Draw(r, "pattern") + rapid.SampledFrom([]string{"", "%", "_"}).Draw(r, "wild")
			names := rapid.SliceOfN(texts(), 1, 30).Draw(r, "names")
			// Names that begin as the pattern does are those that a range could
			// lose.
			for n := range names[:len(names)/2] {
				names[n] = strings.Trim(pattern, `%_\`) + names[n]
			}
			parsed, err := Parse(pattern)
			if err != nil {
				return // ends with a lone \: see below
			}
			tbl.storeNames(names)
			want, wantFold := []string{}, []string{}
			for _, name := range names {
				if referenceMatch([]rune(pattern), []rune(name)) {
					want = append(want, name)
				}
				if referenceMatch([]rune(fold(pattern)), []rune(fold(name))) {
					wantFold = append(wantFold, name)
				}
			}
			slices.Sort(want)
			slices.Sort(wantFold)
			if got := tbl.selectNames(parsed.Match("name")); !slices.Equal(got, want) {
				r.Errorf("%q matches %q of %q, want %q", pattern, got, names, want)
			}
			if got := tbl.selectNames(parsed.MatchFold("name")); !slices.Equal(got, wantFold) {
				r.Errorf("%q matches, whatever the case, %q of %q, want %q", pattern, got, names, wantFold)
			}
		})
	})
}

func TestMatch_APlainBeginningIsARangeThatAnIndexServes(t *testing.T) {
	for _, d := range []string{dialect.SQLite, dialect.Postgres} {
		parsed, err := Parse("0a%")
		if err != nil {
			t.Fatal(err)
		}
		condition := parsed.Match("device")
		condition.SetDialect(d)
		query, args := condition.Query()
		if !strings.Contains(query, ">=") || !strings.Contains(query, "<") {
			t.Errorf("%s: got condition %s, want a range", d, query)
		}
		if !slices.Equal(args, []any{driver.Value("0a"), driver.Value("0a%"), driver.Value("0b")}) {
			t.Errorf("%s: got arguments %q, want the pattern and its range", d, args)
		}
	}
}

func TestAll_IsSaidOnlyOfWhatMatchesEveryText(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		pattern := texts().Draw(r, "pattern")
		parsed, err := Parse(pattern)
		if err != nil || !parsed.All() {
			return
		}
		if name := texts().Draw(r, "name"); !referenceMatch([]rune(pattern), []rune(name)) {
			r.Errorf("%q is said to match all, but not %q", pattern, name)
		}
	})
	for pattern, all := range map[string]bool{"%": true, "%%": true, "": false, "_%": false, `\%`: false} {
		if parsed, err := Parse(pattern); err != nil || parsed.All() != all {
			t.Errorf("%q: all is %t (%v)", pattern, parsed.All(), err)
		}
	}
}

func TestParse_RefusesWhatIsNoPatternAsTheCallersFault(t *testing.T) {
	for _, pattern := range []string{`\`, `abc\`, `a\\\`, "a\x00b", "a\xffb", strings.Repeat("a", maxLength+1)} {
		if _, err := Parse(pattern); fault.CodeOf(err) != fault.BadInput {
			t.Errorf("pattern %.20q: got error %v, want code %s", pattern, err, fault.BadInput)
		}
	}
	for _, pattern := range []string{"", `\\`, `\%\_`, strings.Repeat("a", maxLength)} {
		if _, err := Parse(pattern); err != nil {
			t.Errorf("pattern %.20q: got error %v, want nil", pattern, err)
		}
	}
}

func TestSuccessor_StandsBetweenThePrefixesTextsAndTheRest(t *testing.T) {
	anyRune := rapid.OneOf(rapid.SampledFrom(letters), rapid.Rune())
	text := rapid.StringOf(anyRune)
	rapid.Check(t, func(r *rapid.T) {
		prefix := rapid.StringOfN(anyRune, 1, 4, -1).Draw(r, "prefix")
		next, ok := successor(prefix)
		if longer := prefix + text.Draw(r, "rest"); ok && longer >= next {
			r.Errorf("%q is not below %q", longer, next)
		}
		other := text.Draw(r, "other")
		if ok && prefix <= other && other < next && !strings.HasPrefix(other, prefix) {
			r.Errorf("%q is between %q and %q", other, prefix, next)
		}
		if !ok && strings.Trim(prefix, string(utf8.MaxRune)) != "" {
			r.Errorf("nothing is said to follow %q", prefix)
		}
		if ok && !utf8.ValidString(next) {
			r.Errorf("%q is not text", next)
		}
	})
}

func TestMatches_SaysTheSameAsAPlainReadingOfThePattern(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := texts().Draw(t, "text")
		p, err := Parse(texts().Draw(t, "pattern"))
		if err != nil {
			return // it ends with a lone backslash
		}
		if got, want := p.Matches(text), referenceMatch([]rune(p.text), []rune(text)); got != want {
			t.Fatalf("Matches of %q for %q: got %v, want %v", p.text, text, got, want)
		}
	})
}
