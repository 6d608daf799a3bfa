package command

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tagma/internal/cli/client"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/export"
	"tagma/internal/cli/progress"
	"tagma/internal/server/config"
)

// Images of one page. An image with annotations may have a megabyte.
const (
	pageSize          = 500
	annotatedPageSize = 50
)

func seriesCommand() *cobra.Command {
	c := config.DefaultClient()
	var asCSV, asJSON, annotations bool
	cmd := &cobra.Command{
		Use:   "series DEVICE START END",
		Short: "Print the images of a trap over some time, as CSV or JSON",
		Long: `Prints what is known of the images of a trap, or of several, over some time, in
the order of trap and time: as CSV, or with --json one JSON object a line.

DEVICE is a trap's name, or a pattern: % stands for any run of characters, _ for
any one. START is included, END is not. Both are dates, or times with their zone;
a date is its midnight in UTC.

With --annotations it also prints what was seen in them. CSV then has one line
for each object, with its bounding box, area and outline in pixels, and one line
for an image in which there is nothing. In JSON each image has its annotations as
documents, which tagma annotate takes.`,
		Example: `  tagma series 0a5bb6f4 2020-06-20 2020-06-27 > week.csv
  tagma series % 2020-06-20T18:00:00Z 2020-06-21T06:00:00Z --json --annotations`,
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkExclusive(cmd, "csv", "json"); err != nil {
				return err
			}
			start, err := parseTime(args[1])
			if err != nil {
				return err
			}
			end, err := parseTime(args[2])
			if err != nil {
				return err
			}
			if end <= start {
				return misuse("START %s is not before END %s: give the earlier time first; a date is its midnight in UTC, and END is not included", args[1], args[2])
			}
			out := progress.New(cmd.ErrOrStderr())
			server, err := connect(c, out)
			if err != nil {
				return err
			}
			series := []generated.SeriesInput{{Device: args[0], Start: start, End: end}}
			n, err := writeSeries(cmd.Context(), server, series, cmd.OutOrStdout(), asJSON, annotations)
			if err != nil {
				return err
			}
			out.Printf("Images: %d", n)
			if n == 0 && !strings.ContainsAny(args[0], "%_") {
				out.Printf("DEVICE is the whole name of a trap, and %q has no image from START to END: %% stands for all traps, as in tagma series %% %s %s", args[0], args[1], args[2])
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&asCSV, "csv", false, "print CSV, as it does anyway")
	flags.BoolVar(&asJSON, "json", false, "print JSON, one image a line")
	flags.BoolVar(&annotations, "annotations", false, "also print what was seen in the images")
	return clientCommand(c, cmd)
}

// writeSeries writes a series page by page, and returns the number of images.
func writeSeries(ctx context.Context, c *client.Client, series []generated.SeriesInput, w io.Writer, asJSON, annotations bool) (int, error) {
	limits, err := c.Limits(ctx)
	if err != nil {
		return 0, err
	}
	length := min(pageSize, limits.MaxPageSize)
	if annotations {
		length = min(annotatedPageSize, limits.MaxPageSize)
	}
	writer := export.JSON(w, annotations)
	if !asJSON {
		if writer, err = export.CSV(w, annotations); err != nil {
			return 0, err
		}
	}
	total := 0
	for after := (*string)(nil); ; {
		got, err := client.Retry(ctx, c, func() (*generated.ImageSeriesResponse, error) {
			return generated.ImageSeries(ctx, c, series, length, after, annotations)
		})
		if err != nil {
			return total, err
		}
		page := got.ImageSeries
		if err := writer.Write(page.Nodes); err != nil {
			return total, fmt.Errorf("cannot write: %w", err)
		}
		total += len(page.Nodes)
		if !page.PageInfo.HasNextPage {
			return total, nil
		}
		after = page.PageInfo.EndCursor
	}
}
