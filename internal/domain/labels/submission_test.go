package labels

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestSubmit_EachRuleNamesTheFieldThatBreaksIt(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	for name, c := range map[string]struct {
		spoil func(s *Submission)
		want  []string
	}{
		"no URL":                            {func(s *Submission) { s.VideoURL = "" }, []string{"input.videoUrl"}},
		"a URL of another scheme":           {func(s *Submission) { s.VideoURL = "ftp://example.org/a.mp4" }, []string{"input.videoUrl"}},
		"a URL without a scheme":            {func(s *Submission) { s.VideoURL = "example.org/a.mp4" }, []string{"input.videoUrl"}},
		"a URL without a host":              {func(s *Submission) { s.VideoURL = "https:///a.mp4" }, []string{"input.videoUrl"}},
		"a URL with a password":             {func(s *Submission) { s.VideoURL = "https://eva:canary@example.org/" }, []string{"input.videoUrl"}},
		"a URL with a user name":            {func(s *Submission) { s.VideoURL = "https://canary@example.org/" }, []string{"input.videoUrl"}},
		"a URL with a line feed":            {func(s *Submission) { s.VideoURL = "https://example.org/\nSubmission-Id: 1" }, []string{"input.videoUrl"}},
		"a URL with a zero":                 {func(s *Submission) { s.VideoURL = "https://example.org/\x00" }, []string{"input.videoUrl"}},
		"a URL that is not UTF-8":           {func(s *Submission) { s.VideoURL = "https://example.org/\xff" }, []string{"input.videoUrl"}},
		"a URL that is too long":            {func(s *Submission) { s.VideoURL = "https://example.org/" + strings.Repeat("x", 2048) }, []string{"input.videoUrl"}},
		"a negative frame":                  {func(s *Submission) { s.FrameIndex = -1 }, []string{"input.frameIndex"}},
		"a frame behind the last":           {func(s *Submission) { s.FrameIndex = s.TotalFrames }, []string{"input.frameIndex"}},
		"a video without frames":            {func(s *Submission) { s.FrameIndex, s.TotalFrames = 0, 0 }, []string{"input.frameIndex"}},
		"a negative number of frames":       {func(s *Submission) { s.TotalFrames = -1 }, []string{"input.frameIndex", "input.totalFrames"}},
		"no frames per second":              {func(s *Submission) { s.FPS = 0 }, []string{"input.fps"}},
		"frames per second that are none":   {func(s *Submission) { s.FPS = math.NaN() }, []string{"input.fps"}},
		"endless frames per second":         {func(s *Submission) { s.FPS = math.Inf(1) }, []string{"input.fps"}},
		"no labels":                         {func(s *Submission) { s.Labels = nil }, []string{"input.labels"}},
		"too many labels":                   {func(s *Submission) { s.Labels = make([]Label, 501) }, []string{"input.labels"}},
		"a label that is missing":           {func(s *Submission) { s.Labels = s.Labels[:4] }, []string{"input.labels"}},
		"a label of no set":                 {func(s *Submission) { s.Labels[2].ID = "tooth" }, []string{"input.labels", "input.labels.2.key"}},
		"a label that is there twice":       {func(s *Submission) { s.Labels = append(s.Labels, s.Labels[0]) }, []string{"input.labels.6.key"}},
		"a label without a name":            {func(s *Submission) { s.Labels[1].Name = "" }, []string{"input.labels.1.name"}},
		"a label with a name of two lines":  {func(s *Submission) { s.Labels[1].Name = "a\nb" }, []string{"input.labels.1.name"}},
		"a label with an endless name":      {func(s *Submission) { s.Labels[1].Name = strings.Repeat("ä", 201) }, []string{"input.labels.1.name"}},
		"a placed label without x":          {func(s *Submission) { s.Labels[0].PixelX = nil }, []string{"input.labels.0.pixelX"}},
		"a placed label without a place":    {func(s *Submission) { s.Labels[0].PixelX, s.Labels[0].PixelY = nil, nil }, []string{"input.labels.0.pixelX", "input.labels.0.pixelY"}},
		"a place of what is not placed":     {func(s *Submission) { s.Labels[5].PixelY = ptr(1.0) }, []string{"input.labels.5.pixelY"}},
		"a place left of the frame":         {func(s *Submission) { s.Labels[0].PixelX = ptr(-0.01) }, []string{"input.labels.0.pixelX"}},
		"a place below the frame":           {func(s *Submission) { s.Labels[0].PixelY = ptr(1080.01) }, []string{"input.labels.0.pixelY"}},
		"a place that is no number":         {func(s *Submission) { s.Labels[0].PixelY = ptr(math.NaN()) }, []string{"input.labels.0.pixelY"}},
		"a place that is endlessly far":     {func(s *Submission) { s.Labels[0].PixelX = ptr(math.Inf(-1)) }, []string{"input.labels.0.pixelX"}},
		"a label set that there is not":     {func(s *Submission) { s.LabelSet = ptr("teeth") }, []string{"input.labelSet"}},
		"an unknown set and something else": {func(s *Submission) { s.LabelSet, s.FPS = ptr("teeth"), 0 }, []string{"input.fps", "input.labelSet"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := rat(1, 1)
			c.spoil(s)
			receipt, err := w.Submit(w.ana, s, 0)
			if receipt != nil {
				t.Fatalf("it is taken: %v", receipt)
			}
			same(t, "paths", problems(t, err), c.want)
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the message repeats the secret: %v", err)
			}
		})
	}
	same(t, "recorded", len(w.all()), 0)
}

func TestSubmit_EverythingThatIsWrongIsToldAtOnce(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	s := rat(1, 1)
	s.VideoURL, s.FrameIndex, s.TotalFrames, s.FPS, s.FrameWidth, s.FrameHeight = "x", -1, -1, -1, -1, -1
	for n := range s.Labels {
		s.Labels[n].ID, s.Labels[n].Name = fmt.Sprint("other", n/2), ""
	}
	_, err := w.Submit(w.ana, s, 0)
	want := []string{"input.fps", "input.frameHeight", "input.frameIndex", "input.frameWidth", "input.labels", "input.totalFrames", "input.videoUrl"}
	for n := range s.Labels {
		want = append(want, fmt.Sprintf("input.labels.%d.key", n), fmt.Sprintf("input.labels.%d.name", n))
		if n < 5 {
			want = append(want, fmt.Sprintf("input.labels.%d.pixelX", n), fmt.Sprintf("input.labels.%d.pixelY", n))
		}
	}
	slices.Sort(want)
	same(t, "paths", problems(t, err), want)
	same(t, "recorded", len(w.all()), 0)
	same(t, "videos", w.db.Video.Query().CountX(t.Context()), 0)
}

func TestSubmit_TheEdgesOfWhatIsTakenAreTaken(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	for name, change := range map[string]func(s *Submission){
		"the corners of the frame": func(s *Submission) {
			s.Labels[0].PixelX, s.Labels[0].PixelY = ptr(0.0), ptr(0.0)
			s.Labels[1].PixelX, s.Labels[1].PixelY = ptr(1920.0), ptr(1080.0)
		},
		"the last frame":              func(s *Submission) { s.FrameIndex = 999 },
		"the only frame":              func(s *Submission) { s.FrameIndex, s.TotalFrames = 0, 1 },
		"few frames per second":       func(s *Submission) { s.FPS = 1e-9 },
		"a URL with everything":       func(s *Submission) { s.VideoURL = "HTTPS://[2001:db8::1]:8443/ü%20x?a=b&c=@#t=1" },
		"the longest URL":             func(s *Submission) { s.VideoURL = "http://h/" + strings.Repeat("x", 2039) },
		"the longest name":            func(s *Submission) { s.Labels[0].Name = strings.Repeat("😀", 200) },
		"another order":               func(s *Submission) { slices.Reverse(s.Labels) },
		"the name of the default set": func(s *Submission) { s.LabelSet = ptr("paws") },
		"nothing placed in a frame without size": func(s *Submission) {
			s.FrameWidth, s.FrameHeight = 0, 0
			for n := range s.Labels {
				s.Labels[n].Placed, s.Labels[n].PixelX, s.Labels[n].PixelY = false, nil, nil
			}
		},
	} {
		s := rat(7, 1)
		change(s)
		if _, err := w.Submit(w.ana, s, 0); err != nil {
			t.Errorf("%s: got %v, want no error", name, err)
		}
	}
}
