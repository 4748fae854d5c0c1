// Makes, from a regular expression, the texts on which a badly built one takes time that grows faster than they do.

import { RegExpParser } from '@eslint-community/regexpp'
import type { AST } from '@eslint-community/regexpp'

/** A text of about so many characters. */
export type HostileText = (length: number) => string

/** Beside the characters that the expression itself names. */
const common = ['a', 'A', 'f', '0', '1', '_', '-', '.', ' ', '\t', '\n', '/', '\\', '@', ':', ';', ',', '=', '"', '*', '+', '%', '!', '\0', 'é', '😀', '\u2028']
const endings = ['', '\0', '!', '\n', ' x']

export function hostileTexts ({ source, flags }: RegExp): HostileText[] {
  const { pattern } = new RegExpParser().parseLiteral(`/${source}/${flags}`)
  const pool = [...new Set([...namedIn(pattern), ...common])]
  const fits = (node: AST.Node): string[] => {
    const one = new RegExp(`^(?:${node.raw})$`, flags.replaceAll(/[gy]/g, ''))
    return pool.filter(text => one.test(text))
  }

  /** A text that the node matches, most likely. */
  const sample = (node: AST.Node): string => {
    switch (node.type) {
      case 'Alternative': return node.elements.map(sample).join('')
      case 'Group': case 'CapturingGroup': return sample(node.alternatives[0] as AST.Alternative)
      case 'Quantifier': return sample(node.element).repeat(Math.max(node.min, Math.min(node.max, 1)))
      case 'Character': return String.fromCodePoint(node.value)
      case 'CharacterSet': case 'CharacterClass': return fits(node)[0] ?? ''
      default: return ''
    }
  }

  const bodies = new Set<string>()
  const add = (before: string, unit: string): void => { if (unit !== '') bodies.add(JSON.stringify([before, unit])) }
  const walk = (node: AST.Node, before: string): void => {
    if (node.type === 'Quantifier') {
      if (node.max > 100) for (const unit of [sample(node.element), ...fits(node.element)]) { add(before, unit); add('', unit) }
      walk(node.element, before)
    } else if (node.type === 'Alternative') {
      let passed = ''
      for (const element of node.elements) {
        walk(element, before + passed)
        passed += sample(element)
        // The beginning again and again: each is a place to start from.
        add('', passed)
        add('', `${passed} `)
      }
    } else if ('alternatives' in node) {
      for (const alternative of node.alternatives) walk(alternative, before)
    }
  }
  walk(pattern, '')

  return [...bodies].flatMap(body => {
    const [before, unit] = JSON.parse(body) as [string, string]
    return endings.map(ending => (length: number) => before + unit.repeat(Math.ceil(length / unit.length)) + ending)
  })
}

function namedIn (node: AST.Node): string[] {
  if (node.type === 'Character') return [String.fromCodePoint(node.value)]
  if (node.type === 'Quantifier') return namedIn(node.element)
  if ('alternatives' in node) return node.alternatives.flatMap(namedIn)
  if ('elements' in node) return (node.elements as AST.Node[]).flatMap(namedIn)
  return []
}
