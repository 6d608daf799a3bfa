package command

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tagma/internal/base/instant"
	"tagma/internal/cli/client"
	"tagma/internal/cli/credentials"
	"tagma/internal/cli/progress"
	"tagma/internal/server/config"
)

// defaultServer is the address of a server with the default settings.
const defaultServer = "http://127.0.0.1:8080"

// clientCommand adds the flags of a client to a command or a group of commands.
func clientCommand(c *config.Client, cmd *cobra.Command) *cobra.Command {
	c.Flags(cmd.PersistentFlags())
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		return readEnvironment(cmd)
	}
	return cmd
}

// connect returns a client by the settings, and by the stored login for missing
// settings. The client writes to out before each wait.
func connect(c *config.Client, out *progress.Output) (*client.Client, error) {
	login, err := credentials.Read()
	if err != nil && (c.Server == "" || c.Token == "") {
		return nil, err
	}
	if login == nil {
		login = &credentials.Login{}
	}
	server := cmp.Or(c.Server, login.Server, defaultServer)
	token := c.Token
	if token == "" && sameServer(server, login.Server) { // a token goes to its own server only
		if login.ExpiresAt < instant.System() {
			return nil, fmt.Errorf("the login at %s has ended: sign in again with tagma login", server)
		}
		token = login.Token
	}
	if token == "" {
		return nil, fmt.Errorf("nobody is signed in at %s: sign in with tagma login %s, or set TAGMA_TOKEN", server, server)
	}
	return client.New(client.Options{
		Server: server, Token: token, Patience: c.RetryFor,
		Waiting: func(cause error, wait time.Duration) {
			out.Printf("%s; trying again in %s", cause, wait.Round(100*time.Millisecond))
		},
	})
}

func sameServer(a, b string) bool {
	return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}

// parseTime returns the time in an argument: a date, or a time in a form of the
// contract.
func parseTime(s string) (instant.Instant, error) {
	if date, err := time.Parse(time.DateOnly, s); err == nil {
		return instant.Of(date), nil
	}
	at, err := instant.Parse(s)
	if err != nil {
		return 0, misuse("%q is not a time: write a date, as 2020-06-20, or a time with its zone, as 2020-06-20T21:33:24Z", s)
	}
	return at, nil
}
