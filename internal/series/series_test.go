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
	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/instant"
	"tagma/internal/page"
	"tagma/internal/rawjson"
	"tagma/internal/testenv"
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
			anySeries := rapid.Custom(func(r *rapid.T) Series {
				start := rapid.IntRange(-1, moments).Draw(r, "start")
				return Series{
					Device: rapid.SampledFrom([]string{"%", "0A5BB6F4", "0a%", "_a5bb6f_", "0%", "%f", "nothing", ""}).Draw(r, "device"),
					Start:  instant.Instant(start), End: instant.Instant(rapid.IntRange(start, moments+1).Draw(r, "end")),
				}
			})
			rapid.Check(t, func(r *rapid.T) {
				list := rapid.SliceOfN(anySeries, 0, 4).Draw(r, "series")
				order := rapid.SampledFrom([]Order{DeviceTime, TimeDevice}).Draw(r, "order")
				want := reference(list, order)
				union, err := Parse(list)
				if err != nil {
					r.Fatal(err)
				}
				var count int
				if count, err = db.Image.Query().Where(union.Select).Count(r.Context()); err != nil || count != len(want) {
					r.Errorf("counted %d of %d: %v", count, len(want), err)
				}
				// All pages are walked, from either end.
				length, backwards := rapid.IntRange(1, 7).Draw(r, "length"), rapid.Bool().Draw(r, "backwards")
				request := page.Request{First: &length}
				if backwards {
					request = page.Request{Last: &length}
				}
				var got []string
				for more := true; more; {
					keyset, err := order.Places().Want(page.Limits{Default: 100, Max: 100}, request, nil)
					if err != nil {
						r.Fatal(err)
					}
					rows, err := db.Image.Query().Where(func(s *sql.Selector) { union.Narrow(s, keyset) }, keyset.Limit).All(r.Context())
					if err != nil {
						r.Fatal(err)
					}
					p := order.Places().Page(keyset.Plan, rows, nil)
					var names []string
					for _, i := range p.Nodes {
						names = append(names, fmt.Sprint(i.DeviceID, " ", int64(i.TakenAt)))
					}
					if backwards {
						got = append(names, got...)
						request.Before, more = p.PageInfo.StartCursor, p.PageInfo.HasPreviousPage
					} else {
						got = append(got, names...)
						request.After, more = p.PageInfo.EndCursor, p.PageInfo.HasNextPage
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
func reference(list []Series, order Order) []string {
	matchesAny := func(device string, moment int) bool {
		return slices.ContainsFunc(list, func(s Series) bool {
			matches := map[string]bool{
				"%": true, "0A5BB6F4": device == "0a5bb6f4", "0a%": device[:2] == "0a", "_a5bb6f_": device[1:7] == "a5bb6f",
				"0%": device[0] == '0', "%f": device[7] == 'f',
			}[s.Device]
			return matches && int(s.Start) <= moment && moment < int(s.End)
		})
	}
	var names []string
	add := func(device string, moment int) {
		if matchesAny(device, moment) {
			names = append(names, fmt.Sprint(device, " ", moment))
		}
	}
	if order == DeviceTime {
		for _, device := range devices {
			for moment := range moments {
				add(device, moment)
			}
		}
		return names
	}
	for moment := range moments {
		for _, device := range devices {
			add(device, moment)
		}
	}
	return names
}

func TestParse_EveryProblemIsToldAtItsPlace(t *testing.T) {
	_, err := Parse([]Series{{"%", 0, 0}, {`\`, 1, 0}, {strings.Repeat("a", 1000), 0, 1}})
	refusal, ok := errors.AsType[*fault.Error](err)
	if !ok || len(refusal.Problems) != 3 || refusal.Code != fault.BadInput {
		t.Fatalf("error: got %v, want 3 problems with code %s", err, fault.BadInput)
	}
	for n, want := range []string{"series.1.device", "series.1.end", "series.2.device"} {
		if got := strings.Join(refusal.Problems[n].Path, "."); got != want {
			t.Errorf("path of problem %d: got %s, want %s", n, got, want)
		}
	}
	if _, err := Parse(make([]Series, MaxSeries+1)); fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("too many series: got error %v, want code %s", err, fault.TooLarge)
	}
	if _, err := Parse(make([]Series, MaxSeries)); err != nil {
		t.Errorf("the most series: got error %v, want nil", err)
	}
}
