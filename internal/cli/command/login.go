package command

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tagma/internal/base/fault"
	"tagma/internal/cli/client"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/credentials"
	"tagma/internal/server/config"
)

func loginCommand() *cobra.Command {
	c := config.DefaultClient()
	var username string
	cmd := &cobra.Command{
		Use:   "login [URL]",
		Short: "Sign in at a server, for 24 hours",
		Long: `Asks for your name and password, signs in, and keeps what the server gives for
it, for 24 hours, in a file that only you can read. The other commands find it
there. The password is not kept.

Where nobody sits at a terminal, give --username, and the password on standard
input. A script that runs for long rather has a token of its own: see tagma
token create.`,
		Example: `  tagma login https://tagma.example.org
  tagma login --username ada < password.txt`,
		Args: cobra.MaximumNArgs(1),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			return readEnvironment(cmd)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			server := c.Server
			if len(args) > 0 {
				server = args[0]
			}
			if login, _ := credentials.Read(); login != nil { // Write replaces a damaged file
				server = cmp.Or(server, login.Server)
			}
			return login(cmd, strings.TrimSuffix(cmp.Or(server, defaultServer), "/"), username)
		},
	}
	c.ServerFlag(cmd.Flags())
	cmd.Flags().StringVar(&username, "username", "", "your name; asked for, if left out")
	return cmd
}

// login reads the name and the password, signs in, and stores the token.
func login(cmd *cobra.Command, server, username string) error {
	ctx := cmd.Context()
	c, err := client.New(client.Options{Server: server})
	if err != nil {
		return err
	}
	if _, err := c.Limits(ctx); err != nil { // fail before the password prompt
		return err
	}
	if isReadable(server) {
		fmt.Fprintf(cmd.ErrOrStderr(), "Whoever is on the way to %s can read your password: https:// hides it.\n", server)
	}
	username, password, err := readCredentials(cmd.InOrStdin(), cmd.ErrOrStderr(), username)
	if err != nil {
		return err
	}
	got, err := generated.Login(ctx, c, username, password)
	if err != nil {
		return err
	}
	session := got.Login
	path, err := credentials.Write(credentials.Login{Server: server, Username: session.User.Username, Token: session.Token, ExpiresAt: session.ExpiresAt})
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s (%s) is signed in at %s until %s. %s has it.\n",
		session.User.Username, session.User.Role, server, session.ExpiresAt, path)
	return nil
}

// isReadable reports whether others can read requests to a server on the network.
func isReadable(server string) bool {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return false
	}
	address := net.ParseIP(u.Hostname())
	return address == nil || !address.IsLoopback()
}

// readCredentials returns a name and a password. A terminal does not show the password.
func readCredentials(in io.Reader, prompts io.Writer, username string) (name, password string, err error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		if username == "" {
			return "", "", misuse("standard input is no terminal: give your name by --username, and the password on standard input")
		}
		password, err = bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", "", fmt.Errorf("cannot read the password from standard input: %w", err)
		}
		password = strings.TrimRight(password, "\r\n")
		return username, password, checkPassword(password)
	}
	// The terminal stops its echo before the prompt appears.
	state, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, term.Restore(int(f.Fd()), state)) }()
	terminal := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, prompts}, "Name: ")
	if username == "" {
		username, err = terminal.ReadLine()
	}
	if err == nil {
		password, err = terminal.ReadPassword("Password: ")
	}
	if errors.Is(err, io.EOF) { // Ctrl-C or Ctrl-D
		err = context.Canceled
	}
	return username, password, err
}

// checkPassword returns an error for an empty password, which would otherwise count as
// a failed login.
func checkPassword(password string) error {
	if password == "" {
		return misuse("there is no password on standard input: give it there, as in tagma login --username ada < password.txt")
	}
	return nil
}

func logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "End what tagma login began",
		Long:  "Ends the session that tagma login began, on the server and on this machine.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			login, err := credentials.Read()
			if err != nil {
				return errors.Join(err, credentials.Remove())
			}
			if login == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "Nobody was signed in.")
				return nil
			}
			if err := credentials.Remove(); err != nil {
				return err
			}
			c, err := client.New(client.Options{Server: login.Server, Token: login.Token})
			if err != nil {
				return err
			}
			if _, err := generated.Logout(cmd.Context(), c); err != nil && fault.CodeOf(err) != fault.Unauthenticated {
				return fmt.Errorf("%s is signed out on this machine, and on the server at %s: %w", login.Username, login.ExpiresAt, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is signed out at %s.\n", login.Username, login.Server)
			return nil
		},
	}
}
