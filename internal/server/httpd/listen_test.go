package httpd

import (
	"strings"
	"testing"
)

func TestListen_AnAddressThatCannotBeHadIsToldWithWhatToDo(t *testing.T) {
	listener, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for address, want := range map[string]string{
		listener.Addr().String(): "is in use, perhaps by another Tagma",
		"192.0.2.1:8080":         "is no address of this machine",
		"nonsense":               "give HOST:PORT",
		"127.0.0.1:99999":        "give HOST:PORT",
	} {
		_, err := Listen(address)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--listen") || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: the error is %v, want %q, the address and --listen", address, err, want)
		}
	}
}
