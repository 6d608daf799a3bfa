package config

import (
	"time"

	"github.com/spf13/pflag"
)

// Client is the settings of a command that asks a server.
type Client struct {
	Server   string // empty: where the person has signed in
	Token    string // empty: theirs
	RetryFor time.Duration
}

// DefaultClient asks where the person has signed in.
func DefaultClient() *Client { return &Client{RetryFor: 5 * time.Minute} }

// Flags adds the flags of a command that asks a server.
func (c *Client) Flags(flags *pflag.FlagSet) {
	c.ServerFlag(flags)
	declare(flags, func(flags *pflag.FlagSet) {
		flags.StringVar(&c.Token, "token", c.Token, "access token (default that of tagma login). Rather set the variable: whoever lists this machine's processes sees the flag")
		flags.DurationVar(&c.RetryFor, "retry-for", c.RetryFor, "how long to go on trying while the server cannot be reached")
	})
}

// ServerFlag adds the flag that says which server, alone.
func (c *Client) ServerFlag(flags *pflag.FlagSet) {
	declare(flags, func(flags *pflag.FlagSet) {
		flags.StringVar(&c.Server, "server", c.Server, "address of the server (default that of tagma login)")
	})
}
