package audit

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// While refusals go on, the file is rotated by its size, renamed by somebody else with and without a word about it, and
// closed in the end: every refusal that was confirmed is in the files once, and no number stands for two lines.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "decisions.log")
	l := open(t, Config{File: path, Patience: 5 * time.Second, Rotate: Rotation{Size: 8000, Compress: true}})
	var confirmed sync.Map
	var next atomic.Int64
	end := make(chan struct{})
	var group, others sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				r := full()
				r.RequestID = fmt.Sprint("r", next.Add(1))
				err := l.Refusal(r)
				if err == nil {
					confirmed.Store(r.RequestID, true)
				}
				if err != nil {
					l.Decision(&Record{RequestID: r.RequestID + "s"})
					time.Sleep(time.Millisecond)
					select {
					case <-end:
						return
					default:
					}
				}
			}
		})
	}
	for i := range 3 {
		others.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-end:
					return
				case <-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond):
				}
				switch i {
				case 0:
					os.Rename(path, fmt.Sprintf("%s.%d", path, n))
				case 1:
					l.Reopen()
				case 2:
					if os.Rename(path, fmt.Sprintf("%s.x%d", path, n)) == nil {
						l.Reopen()
					}
				}
			}
		})
	}
	time.Sleep(400 * time.Millisecond)
	close(end)
	l.Close()
	group.Wait()
	others.Wait()
	ids, seqs := map[string]int{}, map[float64]int{}
	entries, _ := os.ReadDir(folder)
	top := 0.0
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".tmp") {
			continue
		}
		if _, err := os.Stat(filepath.Join(folder, entry.Name()+".zst")); err == nil {
			continue // compressed and not yet removed
		}
		for _, line := range lines(t, content(t, filepath.Join(folder, entry.Name()))) {
			ids[line["request_id"].(string)]++
			seqs[line["seq"].(float64)]++
			top = max(top, line["seq"].(float64))
		}
	}
	count := 0
	confirmed.Range(func(id, _ any) bool {
		count++
		if ids[id.(string)] != 1 {
			t.Errorf("%v is there %d times", id, ids[id.(string)])
		}
		return !t.Failed()
	})
	for seq, n := range seqs {
		if n != 1 {
			t.Errorf("number %v is there %d times", seq, n)
			break
		}
	}
	if count == 0 || len(seqs) != int(top) {
		t.Errorf("%d confirmed, %d numbers up to %v", count, len(seqs), top)
	}
}
