// Package credentials owns the file of `tagma login`: the token and the server of the
// token. Only the owner of the account can read the file.
//
// Package credentials does not own the requests that create and revoke a token.
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

// Login is a person signed in at a server.
type Login struct {
	Server    string          `json:"server"`
	Username  string          `json:"username"`
	Token     string          `json:"token"`
	ExpiresAt instant.Instant `json:"expiresAt"`
}

// path returns the path of the file, in the user's folder for settings.
func path() (string, error) {
	folder, err := os.UserConfigDir()
	return filepath.Join(folder, "tagma", "login.json"), err
}

// Read returns the stored login, or nil without a login.
func Read() (*Login, error) {
	name, err := path()
	if err != nil {
		return nil, nil // without a folder for settings there is no login
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var l Login
	if json.Unmarshal(text, &l) != nil { // the error of Unmarshal may repeat the token
		return nil, fmt.Errorf("%s is damaged: sign in again with tagma login", name)
	}
	return &l, nil
}

// Write stores a login in place of the previous login, and returns the path of the
// file.
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

// Remove removes the stored login.
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
