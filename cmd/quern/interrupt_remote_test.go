package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A signal ends the opening of a checkpoint whose server says nothing.
func TestInterruptOpening(t *testing.T) {
	addStores()
	asked, end := make(chan struct{}, 100), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-end
	}))
	defer server.Close()
	defer close(end)
	w := newTerminal(nil, nil)
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	opened := make(chan error)
	go func() {
		_, err := w.open(server.URL + "/model")
		opened <- err
	}()
	<-asked
	cancel()
	select {
	case err := <-opened:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}
