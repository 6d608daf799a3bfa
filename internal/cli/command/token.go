package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tagma/internal/base/caller"
	"tagma/internal/base/instant"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/progress"
	"tagma/internal/server/config"
)

func tokenCommands() *cobra.Command {
	c := config.DefaultClient()
	cmd := clientCommand(c, &cobra.Command{Use: "token", Short: "Make tokens for scripts and traps"})
	var name, role, device, expires string
	create := &cobra.Command{
		Use:   "create --name NAME",
		Short: "Make a token for a script or a trap, and print its secret",
		Long: `Makes a token for a script or for a trap, and prints its secret. The server does
not keep the secret, so this is the only time that you see it. Whoever has it may
do what the token may: hand it over as you would a password, in TAGMA_TOKEN or in
a file.

A token may do no more than you may. With --device it is a trap's: it adds
photographs of that device, and does nothing else.`,
		Example: `  tagma token create --name "nightly statistics" --role READER --expires 90d
  tagma token create --name "the trap on the roof" --device 0a5bb6f4`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				return misuse("--name is missing: say what to call the token, as in tagma token create --name \"nightly statistics\"")
			}
			if err := checkExclusive(cmd, "role", "device"); err != nil {
				return err
			}
			input := generated.AccessTokenInput{Name: name}
			if role != "" {
				r := caller.Role(strings.ToUpper(role))
				if !slices.Contains(caller.Role("").Values(), string(r)) {
					return misuse("--role cannot be %q: give %s", role, strings.Join(caller.Role("").Values(), ", "))
				}
				input.Role = &r
			}
			if device != "" {
				input.Device = &device
			}
			if expires != "" {
				until, err := parseExpiry(expires, instant.System())
				if err != nil {
					return err
				}
				input.ExpiresAt = &until
			}
			server, err := connect(c, progress.New(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			got, err := generated.CreateAccessToken(cmd.Context(), server, input)
			if err != nil {
				return err
			}
			token := got.CreateAccessToken.AccessToken
			may, until := "may do what a "+string(token.Role)+" may", "until it is revoked"
			if token.Device != nil {
				may = "adds photographs of " + *token.Device
			}
			if token.ExpiresAt != nil {
				until = "until " + token.ExpiresAt.String()
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "The token %q %s, %s. Its secret is shown this once:\n", token.Name, may, until)
			fmt.Fprintln(cmd.OutOrStdout(), got.CreateAccessToken.Token)
			return nil
		},
	}
	flags := create.Flags()
	flags.StringVar(&name, "name", "", "what to call it (needed)")
	flags.StringVar(&role, "role", "", "the most that it may do: READER, WRITER or ADMIN (default your own role)")
	flags.StringVar(&device, "device", "", "makes it the token of this trap, such as 0a5bb6f4")
	flags.StringVar(&expires, "expires", "", "until when it holds: a date, a time, or a number of days such as 90d (default for good)")
	_ = create.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(caller.Role("").Values(), cobra.ShellCompDirectiveNoFileComp))
	cmd.AddCommand(create)
	return cmd
}

// parseExpiry returns the expiry in an argument: a number of days from now, or a time.
func parseExpiry(s string, now instant.Instant) (instant.Instant, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			return now.Add(time.Duration(n) * 24 * time.Hour), nil
		}
	}
	until, err := parseTime(s)
	if err != nil {
		return 0, misuse("--expires: %w; or a number of days, as 90d", err)
	}
	return until, nil
}
