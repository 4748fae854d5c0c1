// A self-signed certificate for a test's TLS server on 127.0.0.1, made at run time: no key is checked in and no tool is needed.

import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

export interface Certificate { key: string, cert: string }

const tag = { integer: 0x02, bits: 0x03, octets: 0x04, oid: 0x06, text: 0x0c, time: 0x17, sequence: 0x30, set: 0x31, version: 0xa0, extensions: 0xa3 }

/** ASN.1 in DER: the tag, the length, and what is inside. */
function der (type: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([type, ...size]), content])
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const commonName = der(tag.oid, hex('550403'))
const alternativeName = der(tag.oid, hex('551d11'))
const isAuthority = der(tag.oid, hex('551d13'))
const ecdsaWithSha256 = der(tag.sequence, der(tag.oid, hex('2a8648ce3d040302')))

export function createCertificate (): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'prime256v1', publicKeyEncoding: { type: 'spki', format: 'der' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' }
  })
  const name = der(tag.sequence, der(tag.set, der(tag.sequence, commonName, der(tag.text, Buffer.from('bulkhead test')))))
  const time = (ms: number): Buffer => der(tag.time, Buffer.from(`${new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`))
  const addresses = der(tag.sequence, Buffer.from([0x87, 4, 127, 0, 0, 1]))
  const body = der(tag.sequence,
    der(tag.version, der(tag.integer, hex('02'))),
    der(tag.integer, hex('01'), randomBytes(8)),
    ecdsaWithSha256, name,
    der(tag.sequence, time(Date.now() - 86_400_000), time(Date.now() + 86_400_000)),
    name, publicKey,
    der(tag.extensions, der(tag.sequence,
      der(tag.sequence, alternativeName, der(tag.octets, addresses)),
      der(tag.sequence, isAuthority, der(tag.octets, der(tag.sequence, hex('0101ff')))))))
  const signature = der(tag.bits, hex('00'), sign('sha256', body, createPrivateKey(privateKey)))
  const certificate = der(tag.sequence, body, ecdsaWithSha256, signature)
  return { key: privateKey, cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64')}\n-----END CERTIFICATE-----\n` }
}
