package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"tagma/internal/base/instant"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/server/config"
	"tagma/internal/server/demo"
	"tagma/internal/server/store"
)

// exampleQuery is a first query on the data of the demo, with the steps to run the
// query.
const exampleQuery = `Start the server, open its address in a browser, sign in, and ask for a night:

query Night {
  imageSeries(series: [{device: "0a5bb6f4", start: "2020-06-20T18:00:00Z", end: "2020-06-21T06:00:00Z"}]) {
    nodes {
      takenAt
      temperature
      file(variant: THUMBNAIL) { url }
      annotations { algorithm { name version } objects { name area } }
    }
  }
}
`

func demoCommand(c *config.Config) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Fill an empty server with made-up photographs and annotations",
		Long:  "Fills a server that has no images with a small, made-up data set: three traps,\ntwo nights, sixty drawn photographs, and contours of the insects in them. It\nmakes no accounts. It opens the database and the store itself, so it needs the\nserver's --data, --database and --storage; the server may be running.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withNewStore(cmd, c, func(st *store.Store) error {
				if err := st.EnsureIdentity(cmd.Context(), instant.System()); err != nil {
					return err
				}
				photos := images.New(st.DB, st.Bucket, instant.System, c.Images())
				summary, err := demo.Fill(cmd.Context(), photos, annotations.New(st.DB, photos, instant.System, c.Page()))
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Made %d photographs by %d traps, and %d annotations with %d objects.\n%s",
					summary.Images, summary.Devices, summary.Annotations, summary.Objects, exampleQuery)
				return nil
			})
		},
	}
}
