package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/libdns/libdns"
)

// acmeDNS writes records through a server of https://github.com/joohoi/acme-dns, which keeps the last two records of
// each account and cannot remove one. The library for it reads no response to its end, which costs a connection each
// time, and cannot be cancelled.
type acmeDNS struct {
	server   string                    // without a slash at the end
	accounts map[string]acmeDNSAccount // by host; "" is for all others
	client   *http.Client
}

// acmeDNSAccount is what the server's /register returns.
type acmeDNSAccount struct {
	Username  string `json:"username"`
	Password  string `json:"password"`
	Subdomain string `json:"subdomain"`
}

func (a acmeDNSAccount) complete() bool {
	return a.Username != "" && a.Password != "" && a.Subdomain != ""
}

// parseAccounts parses one account, or several under their hosts' names. The error repeats nothing of what is in them.
func parseAccounts(text []byte) (map[string]acmeDNSAccount, error) {
	var one acmeDNSAccount
	if err := json.Unmarshal(text, &one); err != nil {
		return nil, errors.New("not JSON as the server's /register answers it")
	}
	if one.complete() {
		return map[string]acmeDNSAccount{"": one}, nil
	}
	var many map[string]acmeDNSAccount
	if err := json.Unmarshal(text, &many); err != nil || len(many) == 0 {
		return nil, errors.New("holds no account with username, password and subdomain")
	}
	for host, account := range many {
		if !account.complete() {
			return nil, fmt.Errorf("the account of %q wants username, password and subdomain", host)
		}
	}
	return many, nil
}

// AppendRecords is libdns.RecordAppender's. Only TXT records can be written.
func (a *acmeDNS) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	for _, record := range records {
		rr := record.RR()
		if rr.Type != "TXT" {
			return nil, fmt.Errorf("acme-dns keeps TXT records only, not %s", rr.Type)
		}
		host := strings.TrimPrefix(strings.TrimSuffix(libdns.AbsoluteName(rr.Name, zone), "."), "_acme-challenge.")
		account, ok := a.accounts[host]
		if !ok {
			account, ok = a.accounts[""]
		}
		if !ok {
			return nil, fmt.Errorf("acme-dns: there is no account for %q", host)
		}
		if err := a.update(ctx, account, rr.Data); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// update writes one TXT record through the server's /update.
func (a *acmeDNS) update(ctx context.Context, account acmeDNSAccount, value string) error {
	body, err := json.Marshal(map[string]string{"subdomain": account.Subdomain, "txt": value})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.server+"/update", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Api-User", account.Username)
	request.Header.Set("X-Api-Key", account.Password)
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("acme-dns server: status %d: %s", response.StatusCode, bytes.TrimSpace(text))
	}
	return err
}

// DeleteRecords is libdns.RecordDeleter's. It does nothing: the next two records replace these.
func (a *acmeDNS) DeleteRecords(_ context.Context, _ string, records []libdns.Record) ([]libdns.Record, error) {
	return records, nil
}
