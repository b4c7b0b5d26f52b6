package hub

import (
	"net/http"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/web"
)

// judge makes an error of an answer of the hub that says what to do. X-Error-Code tells
// kinds apart that share a status; a hub hides repositories from those who may not see
// them, so that "not found" can mean "not yours".
func (r *Repository) judge(resp *http.Response) error {
	code := resp.Header.Get("X-Error-Code")
	token := "no token is given: set HF_TOKEN, or run hf auth login"
	if r.settings.Token != "" {
		token = "the token that is given does not open it"
	}
	switch {
	case resp.StatusCode/100 == 2 || resp.StatusCode/100 == 3:
		return nil
	case code == "GatedRepo":
		return invalid.Errorf("the repository is gated: accept its conditions at %s, and read it with a token of that account; %s", web.Public(r.settings.Endpoint.JoinPath(r.location.Repo)), token)
	case code == "RepoNotFound":
		return invalid.Errorf("there is no such repository, or it is private; %s", token)
	case code == "RevisionNotFound":
		return invalid.Errorf("the repository has no revision %q", r.location.Revision)
	case code == "EntryNotFound":
		return invalid.Errorf("%w: it is no longer in the commit %s", store.ErrChanged, r.commit)
	case resp.StatusCode == http.StatusUnauthorized && r.settings.Token != "":
		return invalid.Errorf("the hub does not take the token that is given (HF_TOKEN, or the file that hf auth login wrote); has it expired?")
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return invalid.Errorf("the hub refuses access (%d %s); %s", resp.StatusCode, http.StatusText(resp.StatusCode), token)
	case resp.StatusCode == http.StatusNotFound:
		return invalid.Errorf("there is no such repository or revision (404); is the name right?")
	}
	return web.Judge(resp)
}
