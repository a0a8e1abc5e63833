// The program in the pods of the tests. Without arguments it waits to be ended, which is all that a pod's sandbox asks for;
// `serve ADDRESS` is an application that says which pod answered, may be told that it is not ready, and leaves in order.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if len(os.Args) < 3 {
		<-ended.Done()
		return
	}
	var ready atomic.Bool
	ready.Store(true)
	name, _ := os.Hostname()
	paths := http.NewServeMux()
	paths.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		if pause, err := time.ParseDuration(request.URL.Query().Get("pause")); err == nil {
			time.Sleep(pause)
		}
		answer.Header().Set("X-Pod", name)
		fmt.Fprintf(answer, "%s %s from %s\n", name, request.URL.Path, request.Header.Get("X-Forwarded-For"))
	})
	paths.HandleFunc("GET /ready", func(answer http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			answer.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	paths.HandleFunc("PUT /ready/{answer}", func(_ http.ResponseWriter, request *http.Request) {
		ready.Store(request.PathValue("answer") == "yes")
	})
	server := http.Server{Addr: os.Args[2], Handler: paths}
	left := make(chan struct{})
	go func() {
		defer close(left)
		<-ended.Done()
		// As any application should: the endpoint is withdrawn while connections still come.
		time.Sleep(2 * time.Second)
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-left
}
