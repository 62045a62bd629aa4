// `portico completion bash|zsh|fish`: a script that completes the command line, made from the commands as they are
// registered, so that it can never be behind them.

import {
  outlineCommands,
  type CommandTree,
  type Flag,
  type Outline,
  type Values,
} from "./command-outline.ts";

const WRITERS = { bash: writeBash, zsh: writeZsh, fish: writeFish } as const;

export type Shell = keyof typeof WRITERS;

export const SHELLS = Object.keys(WRITERS) as Shell[];

/** The script that completes `program` in `shell`. */
export function writeCompletion(shell: Shell, program: CommandTree): string {
  return WRITERS[shell](outlineCommands(program));
}

/** Needs nothing of the bash-completion package. */
function writeBash({ flags, entries }: Outline): string {
  const names = entries.map((entry) => entry.name);
  const optionCases = entries.flatMap((entry) =>
    entry.flags
      .filter((flag) => flag.values)
      .map((flag) => {
        const patterns = flag.names.map((name) => `${entry.name}:${name}`).join("|");
        return `    ${patterns}) ${bashValues(flag.values)}; return ;;`;
      }),
  );
  const commandCases = entries.map((entry) => {
    const words = entry.flags.flatMap((flag) => flag.names).join(" ");
    const offered = words === "" ? ":" : `_portico_words "${words}"`;
    return (
      `    ${entry.name}) ` +
      `case $word in -*) ${offered} ;; *) ${bashValues(entry.values)} ;; esac ;;`
    );
  });
  const ownFlags = flags.flatMap((flag) => flag.names).join(" ");
  return `# bash completion for portico; made by "portico completion bash".
_portico_words() {
  COMPREPLY=($(compgen -W "$1" -- "$word"))
}

_portico_paths() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$word"))
}

_portico() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} command= i
  COMPREPLY=()
  # bash splits --config=DIR at the "=".
  if [ "$word" = "=" ]; then word=; elif [ "$previous" = "=" ]; then previous=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${names.join("|")}) command=\${COMP_WORDS[i]}; break ;;
    esac
  done
  case $command:$previous in
${optionCases.join("\n")}
  esac
  case $command in
    "") _portico_words "${[...names, ...ownFlags.split(" ")].join(" ")}" ;;
${commandCases.join("\n")}
  esac
}

complete -F _portico portico
`;
}

function bashValues(values: Values | undefined): string {
  switch (values?.kind) {
    case "directories":
      return "_portico_paths -d";
    case "files":
      return "_portico_paths -f";
    case "words":
      return `_portico_words "${values.words.join(" ")}"`;
    default:
      return ":";
  }
}

function writeZsh({ flags, entries }: Outline): string {
  const described = entries.map(
    (entry) => `    ${quote(`${entry.name}:${entry.description.replaceAll(":", "\\:")}`)}`,
  );
  const cases = entries.map((entry) => {
    const specs = [
      ...entry.flags.flatMap(zshFlag),
      ...(entry.values ? [`1:argument:${zshAction(entry.values)}`] : []),
    ];
    return `    ${entry.name}) _arguments -s ${specs.map(quote).join(" ")} ;;`;
  });
  return `#compdef portico
# zsh completion for portico; made by "portico completion zsh".
_portico() {
  local context state state_descr line
  typeset -A opt_args
  local -a commands=(
${described.join("\n")}
  )
  _arguments -C ${flags.flatMap(zshFlag).map(quote).join(" ")} '1: :->command' '*:: :->rest'
  case $state in
    command) _describe command commands; return ;;
    rest) ;;
    *) return ;;
  esac
  case $line[1] in
${cases.join("\n")}
  esac
}

if [ "$funcstack[1]" = _portico ]; then _portico "$@"; else compdef _portico portico; fi
`;
}

function zshFlag(flag: Flag): string[] {
  const description = flag.description.replaceAll(/[[\]\\:]/g, "\\$&");
  const others = flag.names.join(" ");
  return flag.names.map((name) => {
    // "=" lets a long option take its value either way.
    const spec = `(${others})${name}${flag.values && name.startsWith("--") ? "=" : ""}[${description}]`;
    return flag.values ? `${spec}:value:${zshAction(flag.values)}` : spec;
  });
}

function zshAction(values: Values): string {
  switch (values.kind) {
    case "directories":
      return "_files -/";
    case "files":
      return "_files";
    case "words":
      return `(${values.words.join(" ")})`;
    case "anything":
      return " ";
  }
}

function writeFish({ flags, entries }: Outline): string {
  const names = entries.map((entry) => entry.name).join(" ");
  const none = quote(`not __fish_seen_subcommand_from ${names}`);
  const lines = [
    "complete -c portico -f",
    ...flags.map((flag) => `complete -c portico -n ${none} ${fishFlag(flag)}`),
    ...entries.flatMap((entry) => {
      const inside = quote(`__fish_seen_subcommand_from ${entry.name}`);
      return [
        `complete -c portico -n ${none} -a ${entry.name} -d ${quote(entry.description)}`,
        ...(entry.values ? [`complete -c portico -n ${inside}${fishValues(entry.values)}`] : []),
        ...entry.flags.map((flag) => `complete -c portico -n ${inside} ${fishFlag(flag)}`),
      ];
    }),
  ];
  return `# fish completion for portico; made by "portico completion fish".\n${lines.join("\n")}\n`;
}

function fishFlag(flag: Flag): string {
  const names = flag.names.map((name) =>
    name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  );
  const values = flag.values ? ` -x${fishValues(flag.values)}` : "";
  return `${names.join(" ")} -d ${quote(flag.description)}${values}`;
}

function fishValues(values: Values): string {
  switch (values.kind) {
    case "directories":
      return " -a '(__fish_complete_directories)'";
    case "files":
      return " -a '(__fish_complete_path)'";
    case "words":
      return ` -a ${quote(values.words.join(" "))}`;
    case "anything":
      return "";
  }
}

/** In single quotes; a quote inside ends them, is escaped and opens them again, in all three shells. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
