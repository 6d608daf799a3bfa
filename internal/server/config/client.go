package config

import (
	"time"

	"github.com/spf13/pflag"
)

// Client holds the settings of a command that sends requests to a server.
type Client struct {
	Server   string // if empty, the server of the person's login
	Token    string // if empty, the token of the person's login
	RetryFor time.Duration
}

// DefaultClient returns the settings for the server of the person's login.
func DefaultClient() *Client { return &Client{RetryFor: 5 * time.Minute} }

// Flags adds the flags of a command that sends requests to a server.
func (c *Client) Flags(flags *pflag.FlagSet) {
	c.ServerFlag(flags)
	declare(flags, func(flags *pflag.FlagSet) {
		flags.StringVar(&c.Token, "token", c.Token, "access token (default that of tagma login). Rather set the variable: whoever lists this machine's processes sees the flag")
		flags.DurationVar(&c.RetryFor, "retry-for", c.RetryFor, "how long to go on trying while the server cannot be reached")
	})
}

// ServerFlag adds only the flag for the address of the server.
func (c *Client) ServerFlag(flags *pflag.FlagSet) {
	declare(flags, func(flags *pflag.FlagSet) {
		flags.StringVar(&c.Server, "server", c.Server, "address of the server (default that of tagma login)")
	})
}
