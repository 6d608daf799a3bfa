package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tagma/internal/server/config"
)

// readyCommand returns the command for a container's health check: an image with
// nothing but Tagma has no other program for the check.
func readyCommand(c *config.Config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Ask the server that runs on this machine whether it is ready",
		Long: `Asks the server that listens at --listen for /readyz, and fails unless it can
reach its database and its store. A container's health check can run it.`,
		Args: cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			return readEnvironment(cmd)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := queryReady(cmd.Context(), c.Listen)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), text)
			}
			return err
		},
	}
	c.ListenFlag(cmd.Flags())
	return cmd
}

// queryReady returns the answer of the server at an address to /readyz.
func queryReady(ctx context.Context, listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", misuse("--listen cannot be %q: give HOST:PORT, such as 127.0.0.1:8080 or :8080", listen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // not localhost: a container may have no resolver
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	address := "http://" + net.JoinHostPort(host, port) + "/readyz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("no server answers at %s: is it running, and is this its --listen? %w", listen, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
	text := strings.TrimSpace(string(body))
	if answer.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s answers %s: %s", address, answer.Status, text))
	}
	return text, err
}
