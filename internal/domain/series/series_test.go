package series

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"entgo.io/ent/dialect/sql"
	"pgregory.net/rapid"

	ent "tagma/ent/generated"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

var devices = []string{"0a5bb6f4", "0a5bb6f5", "0b000000", "ffffffff"}

// moments is how many images each device has, one a millisecond from 0 on.
const moments = 6

func TestNarrow_PagesGiveWhatIsInAnySeriesOnceOnBothDatabases(t *testing.T) {
	for name, url := range map[string]string{
		"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "tagma.db"), "PostgreSQL": testenv.Postgres(t),
	} {
		t.Run(name, func(t *testing.T) {
			db, err := database.Open(t.Context(), url, database.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var rows []*ent.ImageCreate
			for _, device := range devices {
				db.Device.Create().SetID(device).SetCreatedAt(0).ExecX(t.Context())
				for n := range moments {
					rows = append(rows, db.Image.Create().SetDeviceID(device).SetTakenAt(instant.Instant(n)).SetMd5("").SetSha256("").
						SetSize(1).SetWidth(1).SetHeight(1).SetFileID("").SetMetadata(rawjson.Value("{}")).SetCreatedAt(0))
				}
			}
			db.Image.CreateBulk(rows...).ExecX(t.Context())
			one := rapid.Custom(func(r *rapid.T) Series {
				start := rapid.IntRange(-1, moments).Draw(r, "start")
				return Series{
					Device: rapid.SampledFrom([]string{"%", "0A5BB6F4", "0a%", "_a5bb6f_", "0%", "%f", "nothing", ""}).Draw(r, "device"),
					Start:  instant.Instant(start), End: instant.Instant(rapid.IntRange(start, moments+1).Draw(r, "end")),
				}
			})
			rapid.Check(t, func(r *rapid.T) {
				all := rapid.SliceOfN(one, 0, 4).Draw(r, "series")
				order := rapid.SampledFrom([]Order{DeviceTime, TimeDevice}).Draw(r, "order")
				want := reference(all, order)
				union, err := Parse(all)
				if err != nil {
					r.Fatal(err)
				}
				var counted int
				if counted, err = db.Image.Query().Where(union.Select).Count(r.Context()); err != nil || counted != len(want) {
					r.Errorf("counted %d of %d: %v", counted, len(want), err)
				}
				// All pages are walked, from either end.
				length, backwards := rapid.IntRange(1, 7).Draw(r, "length"), rapid.Bool().Draw(r, "backwards")
				request := page.Request{First: &length}
				if backwards {
					request = page.Request{Last: &length}
				}
				var got []string
				for further := true; further; {
					keyset, err := order.PageOrder().Keyset(page.Limits{Default: 100, Max: 100}, request, nil)
					if err != nil {
						r.Fatal(err)
					}
					rows, err := db.Image.Query().Where(func(s *sql.Selector) { union.Narrow(s, keyset) }, keyset.Limit).All(r.Context())
					if err != nil {
						r.Fatal(err)
					}
					p := order.PageOrder().Page(keyset.Plan, rows, nil)
					var names []string
					for _, i := range p.Nodes {
						names = append(names, fmt.Sprint(i.DeviceID, " ", int64(i.TakenAt)))
					}
					if backwards {
						got = append(names, got...)
						request.Before, further = p.PageInfo.StartCursor, p.PageInfo.HasPreviousPage
					} else {
						got = append(got, names...)
						request.After, further = p.PageInfo.EndCursor, p.PageInfo.HasNextPage
					}
				}
				if !slices.Equal(got, want) {
					r.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

// reference is the images in any of the series, in an order.
func reference(all []Series, order Order) []string {
	in := func(device string, at int) bool {
		return slices.ContainsFunc(all, func(s Series) bool {
			matches := map[string]bool{
				"%": true, "0A5BB6F4": device == "0a5bb6f4", "0a%": device[:2] == "0a", "_a5bb6f_": device[1:7] == "a5bb6f",
				"0%": device[0] == '0', "%f": device[7] == 'f',
			}[s.Device]
			return matches && int(s.Start) <= at && at < int(s.End)
		})
	}
	var found []string
	add := func(device string, at int) {
		if in(device, at) {
			found = append(found, fmt.Sprint(device, " ", at))
		}
	}
	if order == DeviceTime {
		for _, device := range devices {
			for at := range moments {
				add(device, at)
			}
		}
		return found
	}
	for at := range moments {
		for _, device := range devices {
			add(device, at)
		}
	}
	return found
}

func TestParse_EveryProblemIsToldAtItsPlace(t *testing.T) {
	_, err := Parse([]Series{{"%", 0, 0}, {`\`, 1, 0}, {strings.Repeat("a", 1000), 0, 1}})
	known, ok := errors.AsType[*fault.Error](err)
	if !ok || len(known.Problems) != 3 || known.Code != fault.BadInput {
		t.Fatalf("Parse: got %v, want BAD_USER_INPUT with 3 problems", err)
	}
	for n, want := range []string{"series.1.device", "series.1.end", "series.2.device"} {
		if got := strings.Join(known.Problems[n].Path, "."); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if _, err := Parse(make([]Series, MaxSeries+1)); fault.CodeOf(err) != fault.TooLarge {
		t.Error(err)
	}
	if _, err := Parse(make([]Series, MaxSeries)); err != nil {
		t.Error(err)
	}
}
