// The plugin `projects`: projects with issues, merge requests, reviews and comments, and webhooks that report changes.

import { definePlugin } from 'bulkhead'
import type { Transaction } from 'bulkhead'
import { createAttempt } from './attempt.ts'
import { createRecorder } from './change.ts'
import { registerComments } from './comment-route.ts'
import { createComments } from './comment.ts'
import { createDeliveries, Job, queueName } from './delivery.ts'
import { registerIssues } from './issue-route.ts'
import { createIssues } from './issue.ts'
import { registerMergeRequests, registerReviews } from './merge-request-route.ts'
import { createMergeRequests } from './merge-request.ts'
import { registerProjects } from './project-route.ts'
import { createProjects, type Project } from './project.ts'
import { createReviews } from './review.ts'
import { createStandings } from './standing.ts'
import type { Subject } from './token.ts'
import { createTurns } from './turn.ts'
import { registerDeliveries, registerWebhooks } from './webhook-route.ts'
import { createWebhooks, keepSecrets, type HookEvent } from './webhook.ts'

/**
 * The service for other plugins. A user given by id, or by `access.asUser`, has all of that user's permissions, without
 * a token's limits.
 */
export interface ProjectService {
  /** Finds a project. Resolves with undefined when there is none, or none that the user may see. */
  find (user: Subject, projectId: string): Promise<Project | undefined>
  /**
   * Finds a project. Rejects with `NotFound` when there is none that the user may see, and with `Forbidden` when the
   * user lacks the right there.
   */
  require (user: Subject, projectId: string, right: 'read' | 'write'): Promise<Project>
  /**
   * Notifies the webhooks of a project that subscribe to the event, if and only if the transaction commits. It works
   * in-process only, because it takes a live transaction. This plugin itself reports the events of issues, merge
   * requests and comments.
   */
  announce (
    projectId: string, event: Extract<HookEvent, 'push' | 'build' | 'deploy'>, payload: Readonly<Record<string, unknown>>, options: { in: Transaction }
  ): Promise<void>
}

declare module 'bulkhead' {
  interface Services { projects: ProjectService }
}

/** The number of concurrent deliveries in each replica. A dead receiver takes up to ten seconds, most of it waiting. */
const receiversAtOnce = 50

export default definePlugin({
  config: {
    webhookAttempts: { doc: 'Most attempts of one webhook delivery', format: 'positive', default: 12, env: 'PROJECTS_WEBHOOK_ATTEMPTS' },
    webhookRetryMs: { doc: 'Pause before the second attempt of a delivery; it doubles with each attempt, up to an hour', format: 'positive', default: 2_000, env: 'PROJECTS_WEBHOOK_RETRY_MS' }
  },

  permissions: {
    'project:restore': { description: 'See and restore deleted projects' },
    'comment:moderate': { description: 'Change and delete comments of others, and withdraw their reviews' }
  },

  start ({ routes, tasks, postgres, access, encryption, events, clock, fetch, config, log }): ProjectService {
    const deliveries = createDeliveries({ postgres, access, tasks, clock })
    const record = createRecorder({ access, events, clock, announce: deliveries.announce })
    const standings = createStandings({ postgres, access })
    // `takeTurn` lets one request at a time wait for the same row lock. `takeOwnTurn` limits each user to four requests
    // at once, so that a user who sends very many leaves database connections to others.
    const takeTurn = createTurns(clock, 1)
    const takeOwnTurn = createTurns(clock, 4)

    const projects = createProjects({ postgres, access, record })
    registerProjects({ routes, access, projects, standings })

    const issues = createIssues({ postgres, standings, record, takeTurn })
    registerIssues({ routes, access, issues, standings, takeOwnTurn })

    const mergeRequests = createMergeRequests({ postgres, record, takeTurn })
    const reviews = createReviews({ postgres, record })
    registerMergeRequests({ routes, access, mergeRequests, reviews, standings, takeOwnTurn })
    registerReviews({ routes, access, mergeRequests, reviews, standings, takeOwnTurn })

    const findIssue = async (projectId: string, number: number) => ({ issue: await issues.find(projectId, number) })
    const findMergeRequest = async (projectId: string, number: number) => ({ mergeRequest: await mergeRequests.find(projectId, number) })
    const comments = createComments({
      postgres, record,
      findTarget: (projectId, { issueNumber, mergeRequestNumber }) =>
        issueNumber === null ? findMergeRequest(projectId, mergeRequestNumber ?? 0) : findIssue(projectId, issueNumber)
    })
    registerComments({ routes, access, comments, standings, findIssue, findMergeRequest })

    const webhooks = createWebhooks({ postgres, encryption, record })
    registerWebhooks({ routes, webhooks, deliveries, standings })
    registerDeliveries({ routes, webhooks, deliveries, standings })
    keepSecrets({ postgres, encryption, log })
    const attempt = createAttempt({
      postgres, tasks, clock, fetch, encryption, record, attemptsMax: config.webhookAttempts, retryMs: config.webhookRetryMs
    })
    // A failure of a receiver is recorded and does not fail the job. The job fails only when the host itself cannot
    // continue.
    tasks.queue(queueName, { input: Job, retry: { limit: 20 }, timeout: '30s', concurrency: receiversAtOnce }, attempt)
    tasks.every('trim-deliveries', '10m', async ({ log }) => {
      log.debug({ deleted: await deliveries.trim() }, 'old deliveries were deleted')
    })

    return {
      announce: (projectId, event, payload, { in: tx }) => deliveries.announce(tx, projectId, event, payload),
      find: async (user, projectId) => (await standings.find(user, projectId))?.project,
      require: async (user, projectId, right) => (await standings.require(user, projectId, `project:${right}`)).project
    }
  }
})
