package compat

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shots is where pictures of the pages go, to be looked at.
var shots = flag.String("page.shots", "", "`directory` for pictures of the status page")

// browser is a headless Chromium, driven over a pair of pipes by the DevTools protocol:
// one JSON value after the other, with a zero byte behind each.
type browser struct {
	t   *testing.T
	cmd *exec.Cmd
	in  *os.File

	mu    sync.Mutex
	last  int
	calls map[int]chan reply
	pages map[string]*page // by session
}

// reply is a message of the browser: an answer, which has an ID, or an event.
type reply struct {
	ID        int
	SessionID string
	Method    string
	Params    json.RawMessage
	Result    json.RawMessage
	Error     *struct{ Message string }
}

// page is one tab.
type page struct {
	b       *browser
	session string

	mu     sync.Mutex
	errors []string // that were written to the console, or thrown
}

// startBrowser starts Chromium. It ends with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	toBrowser, in, err := os.Pipe()
	require.NoError(t, err)
	out, fromBrowser, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // 3 and 4, as the protocol has it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stderr = &said
	require.NoError(t, cmd.Start(), "Debian's chromium")
	require.NoError(t, toBrowser.Close())
	require.NoError(t, fromBrowser.Close())
	b := &browser{t: t, cmd: cmd, in: in, calls: make(map[int]chan reply), pages: make(map[string]*page)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(bufio.NewReader(out))
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = in.Close()
		_ = out.Close()
		<-read
		if t.Failed() {
			t.Logf("chromium: %s", said.Bytes())
		}
	})
	return b
}

// read takes what the browser says until it ends.
func (b *browser) read(out *bufio.Reader) {
	for {
		text, err := out.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, c := range b.calls {
				close(c)
			}
			b.calls = nil
			return
		}
		var r reply
		if json.Unmarshal(text[:len(text)-1], &r) != nil {
			continue
		}
		b.mu.Lock()
		answer, p := b.calls[r.ID], b.pages[r.SessionID]
		delete(b.calls, r.ID)
		b.mu.Unlock()
		switch {
		case answer != nil:
			answer <- r
		case p != nil:
			p.note(r)
		}
	}
}

// call has the browser, or a page, do something, and reads the result into out.
func (b *browser) call(session, method string, params map[string]any, out any) {
	b.t.Helper()
	answer := make(chan reply, 1)
	b.mu.Lock()
	require.NotNil(b.t, b.calls, "the browser runs")
	b.last++
	b.calls[b.last] = answer
	text, err := json.Marshal(map[string]any{"id": b.last, "sessionId": session, "method": method, "params": params})
	b.mu.Unlock()
	require.NoError(b.t, err)
	if session == "" {
		text = bytes.Replace(text, []byte(`,"sessionId":""`), nil, 1)
	}
	_, err = b.in.Write(append(text, 0))
	require.NoError(b.t, err)
	select {
	case r, ok := <-answer:
		require.True(b.t, ok, "the browser has ended")
		require.Nil(b.t, r.Error, method)
		if out != nil {
			require.NoError(b.t, json.Unmarshal(r.Result, out))
		}
	case <-time.After(patience):
		require.Fail(b.t, "the browser does not answer", method)
	}
}

// open opens a page.
func (b *browser) open(url string) *page {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &page{b: b, session: attached.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Runtime", "Log", "Page"} {
		p.call(domain+".enable", nil, nil)
	}
	p.resize(1100)
	p.call("Page.navigate", map[string]any{"url": url}, nil)
	return p
}

func (p *page) call(method string, params map[string]any, out any) {
	p.b.t.Helper()
	p.b.call(p.session, method, params, out)
}

// note keeps what a page complains of.
func (p *page) note(r reply) {
	var e struct {
		Type             string
		Args             []struct{ Value, Description any }
		ExceptionDetails struct{ Exception struct{ Description string } }
		Entry            struct{ Level, Text, URL string }
	}
	_ = json.Unmarshal(r.Params, &e)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.Method == "Runtime.exceptionThrown":
		p.errors = append(p.errors, e.ExceptionDetails.Exception.Description)
	case r.Method == "Runtime.consoleAPICalled" && (e.Type == "error" || e.Type == "warning"):
		p.errors = append(p.errors, fmt.Sprint(e.Args))
	case r.Method == "Log.entryAdded" && (e.Entry.Level == "error" || e.Entry.Level == "warning"):
		p.errors = append(p.errors, e.Entry.Text+" "+e.Entry.URL)
	}
}

// requireQuiet requires that the page has complained of nothing.
func (p *page) requireQuiet() {
	p.b.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(p.b.t, p.errors, "the console")
}

// resize gives the window another width.
func (p *page) resize(width int) {
	p.b.t.Helper()
	p.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// dark has the page be seen by a user of dark windows, or of light ones.
func (p *page) dark(on bool) {
	p.b.t.Helper()
	value := map[bool]string{true: "dark", false: "light"}[on]
	p.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": value}}}, nil)
}

// eval returns the value of an expression in the page, as text.
func (p *page) eval(expression string) string {
	p.b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	p.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	require.Nil(p.b.t, r.ExceptionDetails, expression)
	return fmt.Sprint(r.Result.Value)
}

// text returns what can be read of an element.
func (p *page) text(selector string) string {
	p.b.t.Helper()
	return p.eval(fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// await waits until an expression in the page is true. It may fail before: the page may
// not be there yet.
func (p *page) await(expression string) {
	p.b.t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for begun := time.Now(); p.eval("(() => { try { return "+expression+" } catch { return false } })()") != "true"; <-poll.C {
		if time.Since(begun) > patience {
			require.Fail(p.b.t, "the page never came to this", "%s\nin:\n%s", expression, p.text("body"))
		}
	}
}

// awaitText waits until an element can be read and has a text in it.
func (p *page) awaitText(selector, text string) {
	p.b.t.Helper()
	p.await(fmt.Sprintf("document.querySelector(%q).innerText.includes(%q)", selector, text))
}

// shoot takes a picture of the whole page, if pictures are wanted.
func (p *page) shoot(name string) {
	p.b.t.Helper()
	if *shots == "" {
		return
	}
	var r struct{ Data string }
	p.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &r)
	picture, err := base64.StdEncoding.DecodeString(r.Data)
	require.NoError(p.b.t, err)
	require.NoError(p.b.t, os.MkdirAll(*shots, 0o755))
	require.NoError(p.b.t, os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o600))
}
