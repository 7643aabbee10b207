# SPDX-License-Identifier: MIT
# bash completion for twostate-io. It needs nothing but bash. The options are those of the help,
# which a test compares.
# shellcheck shell=bash

_twostate_io_words()
{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# The last item of a list that is separated by commas.
_twostate_io_list()
{
    local item=${2##*,} before
    before=${2%"$item"}
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$1" -- "$item")
}

_twostate_io_files()
{
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

# The processes whose engines are served.
_twostate_io_served()
{
    [[ -r /proc/net/unix ]] &&
        sed -n 's|.* 00010000 .* @twostate/\([0-9]*\).*|\1|p' /proc/net/unix | sort -u
}

# The jobs of the first word that is a file.
_twostate_io_sections()
{
    local word
    for word in "${COMP_WORDS[@]:2}"; do
        if [[ -f $word ]]; then
            sed -n 's/^[[:blank:]]*\[[[:blank:]]*\([^]]*\)\].*/\1/p' "$word" | grep -vx global
            return
        fi
    done
}

# The option whose value is being typed, if any: bash takes "=" for a word of its own.
_twostate_io_option()
{
    local i word
    for ((i = COMP_CWORD - 1; i > 1; i--)); do
        word=${COMP_WORDS[i]}
        if [[ $word == --* ]]; then
            printf '%s' "$word"
            return
        fi
        [[ $word == = || ${COMP_WORDS[i + 1]} == = || ${COMP_WORDS[i + 1]} == *,* ]] || return
    done
}

# True: it has been completed, or can't be.
_twostate_io_value()
{
    local cur=$2 kinds='all buffered_read buffered_write direct_read direct_write append truncate punch
        remap fsync'
    case $1 in
        --threads)
            compopt -o nospace 2>/dev/null
            _twostate_io_list "${kinds//[[:space:]]/ }" "$cur"
            ;;
        --lock) _twostate_io_words 'twostate rwlock none' "$cur" ;;
        --cache) _twostate_io_words 'kernel user' "$cur" ;;
        --backend) _twostate_io_words 'auto uring threads' "$cur" ;;
        --unaligned) _twostate_io_words 'on off' "$cur" ;;
        --block-sizes) _twostate_io_list '512 4k 16k 64k 256k 1M' "$cur" ;;
        --size | --cache-bytes) _twostate_io_words '4M 64M 256M 1G' "$cur" ;;
        --section)
            local IFS=$'\n'
            _twostate_io_words "$(_twostate_io_sections)" "$cur"
            ;;
        --json)
            [[ ${COMP_WORDS[1]} == top ]] && return 1
            _twostate_io_files "$cur"
            ;;
        --compare | --serve) # a value only behind "="
            [[ ${COMP_WORDS[COMP_CWORD]} == = || ${COMP_WORDS[COMP_CWORD - 1]} == = ]] || return 1
            if [[ $1 == --compare ]]; then
                _twostate_io_list 'lost torn slow' "$cur"
            else
                _twostate_io_files "$cur"
            fi
            ;;
        --seconds | --ops | --seed | --async | --interval | --buffered-read | --buffered-write | \
            --direct-read | --direct-write | --append | --truncate | --punch | --remap | --fsync) ;;
        *) return 1 ;;
    esac
}

_twostate_io()
{
    local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} load options=
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _twostate_io_words 'run job top help --help --version' "$cur"
        return
    fi
    [[ $cur == = ]] && cur=
    _twostate_io_value "$(_twostate_io_option)" "$cur" && return
    load='--threads --buffered-read --buffered-write --direct-read --direct-write --append --truncate
        --punch --remap --fsync --block-sizes --unaligned --size --async --seconds --ops --seed --lock
        --cache --cache-bytes --backend --compare --serve --json --quiet --keep --overwrite'
    case $command in
        run) options="$load --help --version" ;;
        job) options="$load --section --help --version" ;;
        top) options='--json --once --interval --help --version' ;;
        help | --help)
            ((COMP_CWORD == 2)) &&
                _twostate_io_words 'run threads sizes jobs check caches top exit' "$cur"
            return
            ;;
        *) return ;;
    esac
    if [[ $cur == -* ]]; then
        _twostate_io_words "$options" "$cur"
        return
    fi
    _twostate_io_files "$cur"
    if [[ $command == top ]]; then
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$(_twostate_io_served)" -- "$cur")
    fi
}

complete -F _twostate_io twostate-io
