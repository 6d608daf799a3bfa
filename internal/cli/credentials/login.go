// Package credentials owns the file in which `tagma login` keeps a token, and with it
// the server that the token is for. Nobody but the account's owner can read it.
//
// It does not own how a token is got, nor how it ends.
package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tagma/internal/base/instant"
)

// Login is who is signed in, and where.
type Login struct {
	Server    string          `json:"server"`
	Username  string          `json:"username"`
	Token     string          `json:"token"`
	ExpiresAt instant.Instant `json:"expiresAt"`
}

// path is the file's, in the folder where the system keeps a user's settings.
func path() (string, error) {
	folder, err := os.UserConfigDir()
	return filepath.Join(folder, "tagma", "login.json"), err
}

// Read is the login that is kept, or nil if there is none.
func Read() (*Login, error) {
	name, err := path()
	if err != nil {
		return nil, nil // a user without a folder for settings has kept nothing
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var l Login
	if json.Unmarshal(text, &l) != nil { // whose error may repeat what is secret
		return nil, fmt.Errorf("%s is damaged: sign in again with tagma login", name)
	}
	return &l, nil
}

// Write keeps a login, in place of any other, and gives the file's name.
func Write(l Login) (string, error) {
	name, err := path()
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(filepath.Dir(name), "login-*") // 0600
	if err != nil {
		return "", err
	}
	_, err = temp.Write(append(text, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return name, err
}

// Remove removes the login that is kept.
func Remove() error {
	name, err := path()
	if err != nil {
		return err
	}
	err = os.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
