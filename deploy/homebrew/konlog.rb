# Builds konlog from its sources: brew install --HEAD ./deploy/homebrew/konlog.rb
class Konlog < Formula
  desc "Durable log between AI agents and the people who watch them"
  homepage "https://github.com/konlog/konlog"
  license "Apache-2.0"
  head "https://github.com/konlog/konlog.git", branch: "main"

  depends_on "go" => :build

  def install
    ENV["CGO_ENABLED"] = "0"
    system "go", "build", *std_go_args(ldflags: "-s -w -X main.version=#{version}", tags: "otel"), "./cmd/konlog"
    generate_completions_from_executable(bin/"konlog", "completion")
  end

  service do
    run [opt_bin/"konlog", "serve", "--data", var/"konlog"]
    keep_alive true
    log_path var/"log/konlog.log"
    error_log_path var/"log/konlog.log"
  end

  test do
    port = free_port
    pid = spawn bin/"konlog", "serve", "--addr", "127.0.0.1:#{port}", "--data", testpath/"data"
    sleep 2
    system bin/"konlog", "append", "s1", "--type", "text", "--data", '{"text":"hello"}', "--server", "http://127.0.0.1:#{port}"
    assert_match "hello", shell_output("#{bin}/konlog tail s1 --no-follow --server http://127.0.0.1:#{port}")
  ensure
    Process.kill "TERM", pid
  end
end
