// The commands and options of the program as data, drawn from commander's own objects.

/** What is used of a command; commander's own objects have it all. */
export type CommandTree = {
  name(): string;
  description(): string;
  readonly commands: readonly CommandTree[];
  readonly options: readonly {
    readonly short?: string | undefined;
    readonly long?: string | undefined;
    readonly description: string;
    readonly hidden: boolean;
    /** It takes a value. */
    readonly required: boolean;
    readonly optional: boolean;
    readonly flags: string;
    readonly argChoices?: readonly string[] | undefined;
  }[];
  readonly registeredArguments: readonly ArgumentLike[];
};

type ArgumentLike = {
  name(): string;
  readonly argChoices?: readonly string[] | undefined;
};

/** What can stand where a value is wanted. */
export type Values =
  | { readonly kind: "directories" | "files" | "anything" }
  | { readonly kind: "words"; readonly words: readonly string[] };

/** One option. */
export type Flag = {
  /** "-c", "--config". */
  readonly names: readonly string[];
  readonly description: string;
  /** Undefined for a flag without a value. */
  readonly values: Values | undefined;
};

/** One command. */
type Entry = {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly Flag[];
  /** Of its first argument; undefined when it takes none. */
  readonly values: Values | undefined;
};

/** The program itself and its commands. */
export type Outline = { readonly flags: readonly Flag[]; readonly entries: readonly Entry[] };

/** What can be completed of a program, in the order of its help. */
export function outlineCommands(program: CommandTree): Outline {
  const entries = program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    flags: flagsOf(command),
    values: command.registeredArguments.map(valuesOfArgument)[0],
  }));
  const help: Entry = {
    name: "help",
    description: "display help for command",
    flags: [],
    values: { kind: "words", words: entries.map((entry) => entry.name) },
  };
  return { flags: flagsOf(program), entries: [...entries, help] };
}

function flagsOf(command: CommandTree): Flag[] {
  const flags = command.options
    .filter((option) => !option.hidden)
    .map((option) => {
      const placeholder = /[<[]([\w-]+)/.exec(option.flags)?.[1] ?? "";
      return {
        names: [option.short, option.long].filter((name) => name !== undefined),
        description: option.description,
        values:
          option.required || option.optional ? valuesOf(placeholder, option.argChoices) : undefined,
      };
    });
  return [
    ...flags,
    { names: ["-h", "--help"], description: "display help for command", values: undefined },
  ];
}

function valuesOfArgument(argument: ArgumentLike): Values {
  return valuesOf(argument.name(), argument.argChoices);
}

function valuesOf(placeholder: string, choices: readonly string[] | undefined): Values {
  if (choices) return { kind: "words", words: choices };
  if (placeholder === "dir") return { kind: "directories" };
  return { kind: placeholder === "file" ? "files" : "anything" };
}
