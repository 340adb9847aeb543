# shellcheck shell=bash disable=SC2154
# Sourced by scripts that run a long command and show its progress.

# Runs a command. Writes its lines to a log and passes each to on_line as it appears. Calls on_tick every 15 s.
# Returns the command's status. Arguments: the log, the command.
follow() {
  local log=$1 line pending='' last=$SECONDS status=1
  shift
  mkdir -p "$(dirname "$log")"
  : >"$log"
  # `read -t` returns without input after 5 s. The pipe ends when the command does, with its status as the last line.
  while :; do
    if IFS= read -r -t 5 -u 3 line; then
      line=$pending$line pending=''
      if [[ $line == 'exit status '* ]]; then
        status=${line#exit status }
        break
      fi
      printf '%s\n' "$line" >>"$log"
      on_line "$line"
    elif [ $? -gt 128 ]; then
      # The beginning of an incomplete line.
      pending+=$line
    else
      break
    fi
    if [ $((SECONDS - last)) -ge 15 ]; then
      on_tick
      last=$SECONDS
    fi
  done 3< <("$@" 2>&1 </dev/null && echo "exit status 0" || echo "exit status $?")
  return "$status"
}

# Prints a line after the time since $begun.
clock() { printf '  %d:%02d  %s\n' $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60)) "$1"; }
