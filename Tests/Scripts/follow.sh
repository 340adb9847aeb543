# shellcheck shell=bash disable=SC2154
# Sourced by the scripts that run something long and show that it lives.

# Runs a command. Its lines go to a log and, as they come, to on_line; on_tick is called every 15 s.
# Returns the command's status. Arguments: the log, the command.
follow() {
  local log=$1 line pending='' last=$SECONDS status=1
  shift
  mkdir -p "$(dirname "$log")"
  : >"$log"
  # `read -t` wakes up without input; the pipe ends when the command does, whose status comes last.
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
      # The beginning of a line, of which the rest has not come yet.
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

# Prints a line behind the time since $begun.
clock() { printf '  %d:%02d  %s\n' $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60)) "$1"; }
