// The program in the pods of the tests, by what it is called as:
//
//	pod                               waits to be ended, which is all that a pod's sandbox asks for
//	pod serve [FLAG...] ADDRESS       an application that says which pod answered, may be told that it is not ready, and
//	                                  leaves in order
//	pod -listen=ADDRESS -text=TEXT    what hashicorp/http-echo is, in its place
//	sh -c "... URL; ..."              what the manifests' shell and curl do, in their place: asks URL every second
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	switch {
	case filepath.Base(os.Args[0]) == "sh":
		ask(ended, regexp.MustCompile(`http://[^ ;]+`).FindString(os.Args[len(os.Args)-1]))
	case len(os.Args) == 1:
		<-ended.Done()
	case os.Args[1] == "serve":
		serve(ended, os.Args[2:])
	default:
		echo(ended, os.Args[1:])
	}
}

func serve(ended context.Context, arguments []string) {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	warm := flags.Duration("warm", 0, "for so long after its start it answers 503 to everything")
	grace := flags.Duration("grace", 2*time.Second, "for so long after SIGTERM it goes on; without, connections are cut")
	_ = flags.Parse(arguments)

	var ready, warmed, broken atomic.Bool
	ready.Store(true)
	time.AfterFunc(*warm, func() { warmed.Store(true) })
	name, _ := os.Hostname()
	paths := http.NewServeMux()
	paths.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		if !warmed.Load() {
			answer.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
		if pause, err := time.ParseDuration(request.URL.Query().Get("pause")); err == nil {
			time.Sleep(pause)
		}
		answer.Header().Set("X-Pod", name)
		fmt.Fprintf(answer, "%s %s from %s\n", name, request.URL.Path, request.Header.Get("X-Forwarded-For"))
	})
	paths.HandleFunc("GET /ready", func(answer http.ResponseWriter, _ *http.Request) {
		if !ready.Load() || !warmed.Load() {
			answer.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	paths.HandleFunc("PUT /ready/{answer}", func(_ http.ResponseWriter, request *http.Request) {
		ready.Store(request.PathValue("answer") == "yes")
	})
	// From then on it says that it is ready, and hangs up on whoever asks.
	paths.HandleFunc("PUT /break", func(http.ResponseWriter, *http.Request) { broken.Store(true) })
	listen(ended, flags.Arg(0), paths, *grace)
}

func echo(ended context.Context, arguments []string) {
	flags := flag.NewFlagSet("http-echo", flag.ExitOnError)
	address := flags.String("listen", ":5678", "")
	text := flags.String("text", "", "")
	_ = flags.Parse(arguments)
	// The grace is that program's: none beyond what is in flight.
	listen(ended, *address, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, *text)
	}), time.Nanosecond)
}

// listen serves until it is ended, and then for as long as endpoints take to be withdrawn, as any application should.
func listen(ended context.Context, address string, handler http.Handler, grace time.Duration) {
	server := http.Server{Addr: address, Handler: handler}
	left := make(chan struct{})
	go func() {
		defer close(left)
		<-ended.Done()
		if grace == 0 {
			os.Exit(0)
		}
		time.Sleep(grace)
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-left
}

func ask(ended context.Context, url string) {
	for ended.Err() == nil {
		if answer, err := http.Get(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
		} else {
			_, _ = io.Copy(os.Stdout, answer.Body)
			_ = answer.Body.Close()
		}
		select {
		case <-ended.Done():
		case <-time.After(time.Second):
		}
	}
}
