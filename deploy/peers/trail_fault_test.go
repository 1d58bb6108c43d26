//go:build peers

package peers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Killed again and again at random moments under load (KILLS=200 for the whole): no refusal is without its line, no
// line is there twice, what a kill tore is one line at most. A served request's line may die with the process: it is
// written after the answer.
func TestTrailKilled(t *testing.T) {
	if !inside(t) {
		return
	}
	kills := times(t, "KILLS", 10)
	tr := layTrail(t, "")
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var crowd sync.WaitGroup
	crowd.Go(func() { tr.crowd(ctx, t, 0) })
	for range kills {
		tr.awaitRefusals(t, 20)
		moment := time.NewTimer(rand.N(200 * time.Millisecond)) // the moment is what is random here
		<-moment.C
		if err := tr.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		tr.wait(t)
		tr.process = start(t, "clients must trust ", program(t), "run", "--config", tr.config)
	}
	end()
	crowd.Wait()
	tr.stop(t)
	b := openBooks(t, read(t, tr.log))
	missing := tr.check(t, b)
	if b.torn > kills {
		t.Errorf("%d torn lines after %d kills", b.torn, kills)
	}
	t.Logf("%d kills, %d lines of served requests died with the process", kills, missing)
}

// awaitRefusals waits until so many more requests were refused: whoever killed sooner would learn nothing.
func (tr *trail) awaitRefusals(t *testing.T, more int) {
	t.Helper()
	refusals := func() int {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		n := 0
		for _, status := range tr.answers {
			if status == 421 {
				n++
			}
		}
		return n
	}
	until(t, "refusals", func(before int) bool { return refusals() >= before+more }, refusals())
}

func until(t *testing.T, what string, holds func(int) bool, before int) {
	t.Helper()
	for limit := time.Now().Add(patience); !holds(before); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A disk that is full and is freed again: while it is full everybody is served, and what the queue could not hold is
// told by gap lines to the very line.
func TestTrailFullDisk(t *testing.T) {
	if !inside(t) {
		return
	}
	disk := filepath.Join(folder(t), "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	tr := layTrail(t, filepath.Join(disk, "decisions.json"))
	// 1 MiB holds some 1,500 lines, and the queue 16,384 more.
	tr.crowd(t.Context(), t, 2000)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	tr.await(t, "the decision log takes lines again")
	tr.crowd(t.Context(), t, 200)
	tr.stop(t)
	b := openBooks(t, read(t, tr.log))
	if missing := tr.check(t, b); missing != b.lost || b.lost == 0 {
		t.Errorf("%d answers have no line, gap lines tell of %d", missing, b.lost)
	}
	if b.torn > 1 {
		t.Errorf("%d torn lines; the disk was full once", b.torn)
	}
}

// Renamed away and told so, again and again under load (RENAMES=200 for the whole): the files together have everything.
func TestTrailRenamed(t *testing.T) {
	if !inside(t) {
		return
	}
	tr := layTrail(t, "")
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var crowd sync.WaitGroup
	crowd.Go(func() { tr.crowd(ctx, t, 0) })
	var logs [][]byte
	for i := range times(t, "RENAMES", 20) {
		tr.awaitRefusals(t, 10)
		if err := os.Rename(tr.log, fmt.Sprintf("%s-%d", tr.log, i)); err != nil {
			t.Fatal(err)
		}
		tr.signal(t, syscall.SIGHUP)
		until(t, "a new file", func(int) bool { _, err := os.Stat(tr.log); return err == nil }, 0)
	}
	end()
	crowd.Wait()
	tr.stop(t)
	for i := range times(t, "RENAMES", 20) {
		logs = append(logs, read(t, fmt.Sprintf("%s-%d", tr.log, i)))
	}
	b := openBooks(t, append(logs, read(t, tr.log))...)
	if missing := tr.check(t, b); missing != 0 || b.lost != 0 || b.torn != 0 {
		t.Errorf("%d answers have no line, %d are told lost, %d torn", missing, b.lost, b.torn)
	}
}

// Rotated by the gateway itself under load: the same.
func TestTrailRotated(t *testing.T) {
	if !inside(t) {
		return
	}
	tr := layTrail(t, "", "rotate: {size: 1MiB, keep: 1000, compress: none}")
	tr.crowd(t.Context(), t, 1500)
	tr.stop(t)
	names, err := filepath.Glob(tr.log + ".*")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d files were set aside: %v", len(names), err)
	}
	var logs [][]byte
	for _, name := range append(names, tr.log) {
		logs = append(logs, read(t, name))
	}
	b := openBooks(t, logs...)
	if missing := tr.check(t, b); missing != 0 || b.lost != 0 || b.torn != 0 {
		t.Errorf("%d answers have no line, %d are told lost, %d torn", missing, b.lost, b.torn)
	}
}

// A pipe whose reader stalls until the queue has overflowed, and goes on.
func TestTrailStalledPipe(t *testing.T) {
	if !inside(t) {
		return
	}
	pipe := filepath.Join(folder(t), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ended, hold := make(chan []byte), make(chan struct{}, 1)
	hold <- struct{}{}
	go func() { ended <- drainPipe(reader, hold) }()
	tr := layTrail(t, pipe)
	tr.crowd(t.Context(), t, 100)
	<-hold
	began := time.Now()
	tr.crowd(t.Context(), t, 2000) // 64 KiB are in the pipe, 16,384 lines in the queue, the rest is lost
	if wait := time.Duration(times(t, "STALL", 1))*time.Second - time.Since(began); wait > 0 {
		<-time.After(wait)
	}
	t.Logf("the pipe's reader stalled for %v", time.Since(began).Round(time.Millisecond))
	hold <- struct{}{}
	tr.crowd(t.Context(), t, 100)
	tr.stop(t)
	io.WriteString(reader, "\n\n") // an end that the reader knows
	b := openBooks(t, <-ended)
	if missing := tr.check(t, b); missing != b.lost || b.lost == 0 || b.torn != 0 {
		t.Errorf("%d answers have no line, gap lines tell of %d, %d torn", missing, b.lost, b.torn)
	}
}

// drainPipe reads lines until an empty one. While there is no token in hold it reads nothing.
func drainPipe(pipe io.Reader, hold chan struct{}) (all []byte) {
	in := bufio.NewReaderSize(pipe, 4096)
	for {
		token := <-hold
		hold <- token
		line, err := in.ReadBytes('\n')
		if err != nil || len(line) == 1 {
			return all
		}
		all = append(all, line...)
	}
}
