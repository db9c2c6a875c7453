package identity_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ravno/net/identity"
)

func tokens() *rapid.Generator[identity.Token] {
	return rapid.Custom(func(t *rapid.T) identity.Token {
		host := rapid.OneOf(
			rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,10})?`),
			rapid.Just("192.168.1.10"), rapid.Just("[2001:db8::1]"),
		)
		address := rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf("%s:%d", host.Draw(t, "host"), rapid.IntRange(1, 65535).Draw(t, "port"))
		})
		token, err := identity.NewToken(
			rapid.StringMatching(`[\pL][\pL\d _.-]{0,15}`).Draw(t, "name"),
			rapid.SliceOfN(address, 1, 8).Draw(t, "addresses"),
			[sha256.Size]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "ca")),
			time.Unix(rapid.Int64Range(1, 1<<40).Draw(t, "expires"), 999),
		)
		if err != nil {
			t.Fatal(err)
		}
		return token
	})
}

func TestTokenSurvivesTheClipboard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := tokens().Draw(t, "token")
		around := rapid.SampledFrom([]string{"", " ", "\n", "\r\n", "\t "})
		line := around.Draw(t, "before") + token.String() + around.Draw(t, "after")
		got, err := identity.ParseToken(line)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(token, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTokenMistypedIsNoticed(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/= \n\x00é"
	rapid.Check(t, func(t *rapid.T) {
		line := tokens().Draw(t, "token").String()
		at := rapid.IntRange(0, len(line)-1).Draw(t, "at")
		for _, r := range alphabet {
			typed := line[:at] + string(r) + line[at+1:]
			if typed == line {
				continue
			}
			if _, err := identity.ParseToken(typed); !errors.Is(err, identity.ErrDamagedToken) {
				t.Fatalf("character %d typed as %q: %v", at, r, err)
			}
		}
	})
}

func TestTokenCutAnywhereIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := tokens().Draw(t, "token").String()
		for end := range len(line) {
			if _, err := identity.ParseToken(line[:end]); !errors.Is(err, identity.ErrDamagedToken) {
				t.Fatalf("the first %d of %d characters: %v", end, len(line), err)
			}
		}
	})
}

func TestTokenParserNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _ = identity.ParseToken("ravno1." + rapid.String().Draw(t, "rest"))
	})
}

func TestTokenErrorDoesNotTellTheSecret(t *testing.T) {
	token, err := identity.NewToken("shop", []string{"hub.example:4433"}, [32]byte{1}, today())
	if err != nil {
		t.Fatal(err)
	}
	line := token.String()
	_, err = identity.ParseToken(line[:len(line)-1])
	if err == nil || strings.Contains(err.Error(), line[20:60]) {
		t.Errorf("error: %v", err)
	}
	if want := "copy the whole line"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

func TestTokenNeedsANameAndAWayToTheHub(t *testing.T) {
	good := []string{"hub.example:4433"}
	cases := []struct {
		name      string
		addresses []string
	}{
		{"", good},
		{strings.Repeat("x", 65), good},
		{"two\nlines", good},
		{"shop", nil},
		{"shop", make([]string, 9)},
		{"shop", []string{"hub.example"}},
		{"shop", []string{":4433"}},
		{"shop", []string{"hub.example:0"}},
		{"shop", []string{"hub.example:65536"}},
		{"shop", []string{"hub example:4433"}},
		{"shop", []string{strings.Repeat("x", 256) + ":4433"}},
	}
	for _, c := range cases {
		if _, err := identity.NewToken(c.name, c.addresses, [32]byte{}, today()); err == nil {
			t.Errorf("name %q, addresses %q: accepted", c.name, c.addresses)
		}
	}
}

func TestSecretStoredOnlyAsHash(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	if identity.EqualHash(identity.HashSecret(a), identity.HashSecret(b)) {
		t.Error("two secrets, one hash")
	}
	if !identity.EqualHash(identity.HashSecret(a), identity.HashSecret(a)) {
		t.Error("one secret, two hashes")
	}
	if identity.HashSecret(a) == sha256.Sum256(a[:]) {
		t.Error("the hash is not kept apart from a plain SHA-256")
	}
}
