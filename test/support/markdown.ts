// Reads tables and blocks of code out of Markdown, for the tests of the documents.

/** The cells of each row of the first table whose first column has this heading; empty when there is none. */
export function readTable (text: string, heading: string): string[][] {
  const [, rows = ''] = new RegExp(String.raw`^\| ${heading} \|.*\n\|[ -|]*\n((?:\|.*\n)*)`, 'm').exec(text) ?? []
  return rows.split('\n').filter(row => row !== '').map(row => row.split('|').slice(1, -1).map(cell => cell.trim()))
}

export interface Block {
  readonly language: string
  /** The text behind the language: the path of a file, or the word `session`. */
  readonly title: string
  readonly content: string
}

/** The fenced blocks of code, in their order. */
export const readBlocks = (text: string): Block[] =>
  [...text.matchAll(/^```(\w*) ?(.*)\n([^]*?)^```$/gm)].map(([, language = '', title = '', content = '']) => ({ language, title, content }))
