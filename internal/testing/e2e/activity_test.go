package e2e

import (
	"fmt"
	"slices"
	"testing"

	ent "tagma/ent/generated"
)

func TestActivity_SumsUpPerDeviceAndSpanOfUTC(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin, db := s.admin(), s.tables()
		addDevices(t, db, "00000001", "00000002")
		weather := func(device string, n int, temperature, humidity *float64) *ent.ImageCreate {
			return row(db, device, n).SetNillableTemperature(temperature).SetNillableHumidity(humidity)
		}
		number := func(v float64) *float64 { return &v }
		// The night begins at 20:00.
		addRows(t, db,
			weather("00000001", 0, number(10), nil), weather("00000001", 3599, number(13), number(80.5)), weather("00000001", 1800, nil, nil),
			weather("00000001", 3600, nil, nil), weather("00000001", 4*3600, number(-5.5), number(60)),
			weather("00000002", 3600, number(20), nil).SetLuminosity(-0.5),
		)
		fingerprint := func(device string, n int) string { return hexOf(fmt.Sprint(device, ".", n)) }
		other := addition("00000001", 0, fingerprint("00000001", 0), "1", insect("moth", 1))
		other["algorithm"] = vars{"name": "other", "version": "9"}
		admin.put(true, other,
			addition("00000001", 0, fingerprint("00000001", 0), "1", insect("moth", 1), insect("fly", 20)),
			addition("00000001", 1800, fingerprint("00000001", 1800), "1", insect("moth", 1)),
			addition("00000001", 3600, fingerprint("00000001", 3600), "1"),
			addition("00000002", 3600, fingerprint("00000002", 3600), "2", insect("moth", 1)),
		)
		type summary struct{ Min, Mean, Max float64 }
		type bucket struct {
			Device, Start         string
			Images, Objects       int
			Temperature, Humidity *summary
			Luminosity            *summary
		}
		const query = `query($series: [SeriesInput!]!, $every: Duration!, $algorithm: AlgorithmFilter) {
		  activity(series: $series, every: $every, algorithm: $algorithm) { ... on ActivityBucket { device start images objects }
		    temperature { min mean max } humidity { min mean max } luminosity { max mean min } } }`
		activity := func(arguments vars) string {
			var got struct{ Activity []bucket }
			admin.must(&got, query, arguments)
			var text string
			for _, b := range got.Activity {
				text += fmt.Sprintf("%s %s %d %d %v %v %v\n", b.Device[7:], b.Start, b.Images, b.Objects, b.Temperature, b.Humidity, b.Luminosity)
			}
			return text
		}
		overlapping := []vars{whole("%"), {"device": "00000001", "start": at(0), "end": at(1)}}
		for _, c := range []struct {
			arguments vars
			want      string
		}{
			{vars{"series": overlapping, "every": "PT1H"}, `1 2020-06-20T20:00:00Z 3 4 &{10 11.5 13} &{80.5 80.5 80.5} <nil>
1 2020-06-20T21:00:00Z 1 0 <nil> <nil> <nil>
1 2020-06-21T00:00:00Z 1 0 &{-5.5 -5.5 -5.5} &{60 60 60} <nil>
2 2020-06-20T21:00:00Z 1 1 &{20 20 20} <nil> &{-0.5 -0.5 -0.5}
`},
			{vars{"series": []vars{whole("%")}, "every": "P1D", "algorithm": vars{"name": "det%"}}, `1 2020-06-20T00:00:00Z 4 3 &{10 11.5 13} &{80.5 80.5 80.5} <nil>
1 2020-06-21T00:00:00Z 1 0 &{-5.5 -5.5 -5.5} &{60 60 60} <nil>
2 2020-06-20T00:00:00Z 1 1 &{20 20 20} <nil> &{-0.5 -0.5 -0.5}
`},
			// Weeks since 1970 begin on Thursdays.
			{vars{"series": []vars{whole("00000002")}, "every": "P7D", "algorithm": vars{"version": "1"}}, "2 2020-06-18T00:00:00Z 1 0 &{20 20 20} <nil> &{-0.5 -0.5 -0.5}\n"},
			{vars{"series": []vars{{"device": "%", "start": at(3600), "end": at(3601)}}, "every": "PT1M"}, `1 2020-06-20T21:00:00Z 1 0 <nil> <nil> <nil>
2 2020-06-20T21:00:00Z 1 1 &{20 20 20} <nil> &{-0.5 -0.5 -0.5}
`},
			{vars{"series": []vars{whole("none")}, "every": "P366D"}, ""},
			{vars{"series": []vars{}, "every": "PT1H"}, ""},
		} {
			if got := activity(c.arguments); got != c.want {
				t.Errorf("%v\ngives %s\nwant  %s", c.arguments, got, c.want)
			}
		}
		for _, every := range []string{"PT59S", "PT0S", "-PT1H", "P367D", "P1M", "P1Y", "PT90.5S", "1 hour", ""} {
			if got := admin.do(query, vars{"series": []vars{whole("%")}, "every": every}); got.code() != "BAD_USER_INPUT" {
				t.Errorf("every %q is answered %s", every, got.Body)
			}
		}
		if got := admin.do(query, vars{"series": []vars{whole("%")}, "every": "PT1H", "algorithm": vars{"name": `\`}}); got.code() != "BAD_USER_INPUT" ||
			!slices.Equal(got.Errors[0].Extensions.Problems[0].Path, []string{"algorithm", "name"}) {
			t.Errorf("a pattern that is none is answered %s", got.Body)
		}
	})
}
