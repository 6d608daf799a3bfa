package config

import (
	"strings"
	"testing"
	"time"
)

func TestBackup_EverySettingThatCannotBeMeantIsNamed(t *testing.T) {
	for flag, spoil := range map[string]func(*Config){
		"backup-to":            func(c *Config) { c.Backup.To = "backups" },
		"backup-every":         func(c *Config) { c.Backup.Every = time.Second },
		"backup-keep":          func(c *Config) { c.Backup.Keep = 0 },
		"database-connections": func(c *Config) { c.Backup.To, c.Database, c.Connections = "/backup", "postgres://localhost/x", 4 },
	} {
		c := Default()
		spoil(c)
		if err := c.Check(); err == nil || !strings.HasPrefix(err.Error(), "--"+flag) {
			t.Errorf("a bad --%s: got %v, want an error that names it", flag, err)
		}
	}
	c := Default()
	c.Backup.To = "/backup"
	if err := c.Check(); err != nil || c.Backup.Every != 24*time.Hour || c.Backup.Keep != 7 {
		t.Errorf("the defaults: got %+v, %v, want a backup a day and seven generations", c.Backup, err)
	}
}
