package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"tagma/internal/cli/annotate"
	"tagma/internal/cli/progress"
	"tagma/internal/server/config"
)

func annotateCommand() *cobra.Command {
	c := config.DefaultClient()
	var o annotate.Options
	cmd := &cobra.Command{
		Use:   "annotate FILE…",
		Short: "Send annotations that are in files",
		Long: `Sends annotations, each a JSON document in the form of the Sticky Pi API:

  {"annotations": [{"name": "insect", "contour": [[[430, 116]], [[446, 96]], …]}, …],
   "metadata": {"algo_name": "by-hand", "algo_version": "1",
                "device": "0a5bb6f4", "datetime": "2020-06-30_20-41-05", "md5": "…"}}

A file may hold several, one after another or as a list, and - is standard input.
The photographs must be on the server: push them first. To send an annotation
again does no harm.

Each object needs a name and a contour, and may have stroke_colour, fill_colour, a
whole number as its value and a score from 0 to 1. The server stores all other
fields of an object as its attributes. It has no place for other fields outside of
the objects: they are listed at the end, and the rest is sent.

What is wrong with a file is told with its name, and the others are sent all the
same; with --atomic it is all or none. If two documents name different objects for
the same image, algorithm and version, neither is sent. It fails if anything is
wrong.`,
		Example: `  tagma annotate annotations/*.json
  tagma series 0a5bb6f4 2020-06-20 2020-06-21 --json --annotations |
    jq -c '.annotations[]' | tagma annotate --server https://other.example.org -`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"json"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			out := progress.New(cmd.ErrOrStderr())
			o.Stdin = cmd.InOrStdin()
			o.Problem = func(where, what string) { out.Printf("%s: %s", where, what) }
			o.Unknown = func(field string, documents int) {
				out.Printf("not sent: the field %s of %s, because an annotation has no place for it; as a field of each object it is stored", field, documentCount(documents))
			}
			server, err := connect(c, out)
			if err != nil {
				return err
			}
			tally, err := annotate.Files(cmd.Context(), server, args, o)
			if tally.Annotated > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "The server has %d of these annotations.\n", tally.Annotated)
			}
			if err == nil && tally.Refused > 0 {
				err = fmt.Errorf("annotations refused: %d", tally.Refused)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&o.Atomic, "atomic", false, "all annotations or none, in one request")
	return clientCommand(c, cmd)
}

func documentCount(n int) string {
	if n == 1 {
		return "1 document"
	}
	return fmt.Sprintf("%d documents", n)
}
