package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/bench/dataset"
	"tagma/internal/domain/labels"
	"tagma/internal/storage/database"
	"tagma/internal/testing/githost"
)

// labelFile returns the path and the content of a frame's file in the repository.
func labelFile(frame int) (path, content string) {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n  \"video_url\": %q,\n  \"frame_index\": %d,\n  \"total_frames\": %d,\n  \"fps\": 30,\n  \"frame_width\": 1920,\n  \"frame_height\": 1080,\n  \"timestamp\": \"2024-01-15T12:34:56Z\",\n  \"labels\": [\n", dataset.Video(frame), frame, dataset.Frames)
	for n, label := range dataset.Paws(frame) {
		if n > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "    {\n      \"id\": %q,\n      \"name\": %q,\n      \"placed\": true,\n      \"pixel_x\": %g,\n      \"pixel_y\": %g\n    }", label.ID, label.Name, *label.PixelX, *label.PixelY)
	}
	b.WriteString("\n  ]\n}\n")
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(dataset.Video(frame))))[:12]
	return fmt.Sprintf("annotations/%s/%s_frame%d_%d.json", hash[:2], hash, frame, dataset.LabelledAt), b.String()
}

// fillLabels fills an empty database and two git hosts with the same number of submissions,
// each with its own commit. fillLabels returns a token, the host for Tagma and the host for
// the git commands.
func fillLabels(ctx context.Context, folder, databaseURL string, files int) (token string, ours, theirs *githost.Host, err error) {
	if ours, err = githost.Start(filepath.Join(folder, "ours.git")); err != nil {
		return "", nil, nil, err
	}
	if err = importLabels(ours.Dir, files); err != nil {
		return "", nil, nil, err
	}
	tip, err := githost.Git(ours.Dir, "rev-parse", "main")
	if err != nil {
		return "", nil, nil, err
	}
	if theirs, err = githost.Start(filepath.Join(folder, "theirs.git")); err != nil {
		return "", nil, nil, err
	}
	if err = os.RemoveAll(theirs.Dir); err == nil {
		err = os.CopyFS(theirs.Dir, os.DirFS(ours.Dir))
	}
	if err != nil {
		return "", nil, nil, err
	}
	db, err := database.Open(ctx, databaseURL, database.Options{Connections: 1})
	if err != nil {
		return "", nil, nil, err
	}
	token, err = createToken(ctx, db)
	if err == nil {
		err = recordLabels(ctx, db, files, strings.TrimSpace(tip))
	}
	return token, ours, theirs, errors.Join(err, db.Close())
}

// importLabels adds files to a repository, each in a commit of its own.
func importLabels(dir string, files int) error {
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet")
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in := bufio.NewWriter(pipe)
	for frame := range files {
		path, content := labelFile(frame)
		message := "annotation: " + filepath.Base(path)
		fmt.Fprintf(in, "commit refs/heads/main\ncommitter Tagma <tagma@tagma.invalid> %d +0000\ndata %d\n%s\nM 100644 inline %s\ndata %d\n%s\n",
			dataset.LabelledAt/1000, len(message), message, path, len(content), content)
	}
	return errors.Join(in.Flush(), pipe.Close(), cmd.Wait())
}

// recordLabels inserts the submissions into the database, as pushed in the commit tip.
func recordLabels(ctx context.Context, db *database.DB, files int, tip string) error {
	service := labels.New(db, instant.System, page.Limits{Default: 1, Max: 1})
	if err := service.Ensure(ctx); err != nil {
		return err
	}
	set, err := service.Set(ctx, labels.DefaultSet)
	if err != nil {
		return err
	}
	now := instant.System()
	var videoCreates []*ent.VideoCreate
	for n := range dataset.Videos {
		videoCreates = append(videoCreates, db.Video.Create().SetURL(dataset.Video(n)).SetHash(fmt.Sprintf("%x", sha256.Sum256([]byte(dataset.Video(n))))).
			SetTotalFrames(dataset.Frames).SetFps(30).SetFrameWidth(1920).SetFrameHeight(1080).SetCreatedAt(now))
	}
	videos, err := db.Video.CreateBulk(videoCreates...).Save(ctx)
	if err != nil {
		return err
	}
	const batchSize = 500
	rows := make([]*ent.LabelSubmissionCreate, 0, batchSize)
	for frame := range files {
		path, content := labelFile(frame)
		rows = append(rows, db.LabelSubmission.Create().SetVideoID(videos[frame%dataset.Videos].ID).SetFrameIndex(frame).SetTimestamp(dataset.LabelledAt).SetLabelSetID(set.ID).
			SetFilename(filepath.Base(path)).SetRevision(1).SetContent(content).SetStatus(labelsubmission.StatusPUSHED).
			SetCommitSha(tip).SetPushedAt(now).SetCreatedAt(now).SetAuthor("bench <bench@tagma.invalid>"))
		if len(rows) == batchSize || frame == files-1 {
			if err := db.LabelSubmission.CreateBulk(rows...).Exec(ctx); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return db.Checkpoint.Create().SetID("labels").SetValue(tip).Exec(ctx) // the commit that the server has read last
}
