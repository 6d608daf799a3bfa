package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tagma/internal/cli/bundlefolder"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/progress"
	"tagma/internal/server/config"
)

// cachePath returns the path of a file in the folder for caches, or "" without such a
// folder.
func cachePath(name string) string {
	folder, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(folder, "tagma", name)
}

func pushBundleCommand(c *config.Client) *cobra.Command {
	var o bundlefolder.Options
	var yes bool
	cmd := &cobra.Command{
		Use:   "bundle NAME DIR",
		Short: "Publish a folder as the next version of a bundle",
		Long: `Publishes a folder as the next version of a bundle: what training and inference
of a model need, in data/, config/ and output/. A version that is published is
never changed, so that an annotation can name the very weights that made it.

It sends the files that no version of any bundle has. If nothing has changed
since the last version, there is no new one. You can interrupt it, and give the
same command again within a day: what was sent is not sent again.

It takes files whose names end in .yaml, .yml, model_final.pth, .svg, .jpeg, .jpg,
.txt or .db, files that match an --include, and with --all, all of them. It never
takes what is called .cache. It names the files that it passes over. Links are
followed; a link to nothing ends it.

A version cannot be taken back. So it asks first if no file is in data/, config/ or
output/, or if no file of output/ is taken; where nobody can answer, it fails, but
for --yes.`,
		Example: `  tagma push bundle insects ~/models/insects
  tagma push bundle insects ~/models/insects --include weights.pt --include '*.onnx'`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.CheckInclude(); err != nil {
				return &Misuse{err}
			}
			o.Output, o.Cache = progress.New(cmd.ErrOrStderr()), cachePath("fingerprints.db")
			o.Confirm = func(doubt string) error { return confirm(cmd, yes, doubt) }
			server, err := connect(c, o.Output)
			if err != nil {
				return err
			}
			got, err := bundlefolder.Push(cmd.Context(), server, args[0], args[1], o)
			if err != nil {
				return err
			}
			what := "there is no new version: it is the same as"
			if got.New {
				what = "published"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Sent %d of %d files (%s); %s %s\n", got.Sent, got.Files, progress.Bytes(got.Bytes), what, got.Version)
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.All, "all", false, "files of any kind")
	cmd.Flags().StringArrayVar(&o.Include, "include", nil, "also files of this name or path, such as weights.pt or '*.onnx'; may be repeated")
	cmd.Flags().BoolVar(&yes, "yes", false, "publish without a question")
	cmd.Flags().IntVar(&o.Parallel, "parallel", 4, "how many files to send at once")
	return cmd
}

// confirm asks on the terminal whether to go on, and returns an error for no.
func confirm(cmd *cobra.Command, yes bool, doubt string) error {
	if yes {
		return nil
	}
	const remedy = "nothing was published: --yes publishes it all the same"
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return fmt.Errorf("%s; %s", doubt, remedy)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s.\nA version cannot be taken back. Publish it? [y/N] ", doubt)
	answers := make(chan string, 1)
	go func() { // a read of the terminal does not end with the context
		answer, _ := bufio.NewReader(in).ReadString('\n') // the end of the file is no yes
		answers <- strings.ToLower(strings.TrimSpace(answer))
	}()
	select {
	case <-cmd.Context().Done():
		return context.Cause(cmd.Context())
	case answer := <-answers:
		if answer == "y" || answer == "yes" {
			return nil
		}
		return errors.New(remedy)
	}
}

func pullCommands() *cobra.Command {
	c := config.DefaultClient()
	cmd := clientCommand(c, &cobra.Command{Use: "pull", Short: "Fetch files from a server, but for what is here already"})
	var (
		o      bundlefolder.Options
		part   string
		number int
	)
	bundle := &cobra.Command{
		Use:   "bundle NAME DIR",
		Short: "Fetch a version of a bundle into a folder",
		Long: `Fetches the files of a bundle's last version, or of another one, into a folder,
which it makes if need be. Files that are there already are not fetched again,
and other files stay as they are. Each file is compared with its MD5 before it
takes its place, and has the time at which it was changed.

If a file was changed here, so that no version has its content, it names the file and
fetches nothing; --force overwrites it.`,
		Example: `  tagma pull bundle insects ~/models/insects
  tagma pull bundle insects ~/models/insects --part model --version 3`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			of := generated.BundlePart(strings.ToUpper(part))
			if of != generated.BundlePartAll && of != generated.BundlePartData && of != generated.BundlePartModel {
				return misuse("--part is %q: give data, model or all", part)
			}
			if number < 0 {
				return misuse("--version is %d: give a number from 1 on", number)
			}
			o.Output, o.Cache = progress.New(cmd.ErrOrStderr()), cachePath("fingerprints.db")
			server, err := connect(c, o.Output)
			if err != nil {
				return err
			}
			got, err := bundlefolder.Pull(cmd.Context(), server, args[0], args[1], number, of, o)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Fetched %d of %d files of %s (%s)\n", got.Fetched, got.Files, got.Version, progress.Bytes(got.Bytes))
			return nil
		},
	}
	flags := bundle.Flags()
	flags.StringVar(&part, "part", "all", "data is data/ and config/, model is output/ and config/")
	flags.BoolVar(&o.Force, "force", false, "overwrite files that were changed here")
	flags.IntVar(&number, "version", 0, "which version (default the last)")
	flags.IntVar(&o.Parallel, "parallel", 4, "how many files to fetch at once")
	_ = bundle.RegisterFlagCompletionFunc("part", cobra.FixedCompletions([]string{"all", "data", "model"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.AddCommand(bundle)
	return cmd
}
