import type { Cluster } from "./cluster.ts";

/** What to type next, with the facts of this run filled in. */
export function describeCluster(cluster: Cluster): string {
  const [first] = cluster.hosts;
  const curl = `buf curl --protocol grpc --cacert ${cluster.caPath} -H "authorization: Bearer $(cat ${cluster.tokenPath})"`;
  return `
Plenum runs. Run ${cluster.runName}, data in ${cluster.dataDir}. Ctrl-C (or \`plenum down\`) ends it; what it knows is kept for the next start.

  API          https://${cluster.endpoint}   (TLS, root certificate ${cluster.caPath}; operator's token in ${cluster.tokenPath})

  npx plenum host list
  npx plenum account create acme
  npx plenum vpc create --owner acme --name shop --cidr 10.0.0.0/16 --subnet 10.0.1.0/24
  npx plenum sg create open --vpc shop --rule ingress:any:0.0.0.0/0 --rule egress:any:0.0.0.0/0
  npx plenum instance run --owner acme --subnet 10.0.1.0/24 --group open --zone zone-a
  npx plenum drops

  Reflection   ${curl} \\
                 https://${cluster.endpoint} --list-methods
  A call       ${curl} \\
                 https://${cluster.endpoint}/plenum.host.v1.HostService/ListHosts

  Inside       nsenter --net=<netns_path of \`plenum instance get\`> ping 10.0.1.5      as the instance sees it
               nsenter --net=${first?.netns ?? ""} ip -br link                     as its host sees it
               nsenter --net=${cluster.cpNetns} tshark -i sub0 -d udp.port==4789,vxlan   what crosses between hosts
  Metrics      curl --unix-socket ${cluster.metricsSocket} http://plenum/metrics
               nsenter --net=${first?.netns ?? ""} curl http://127.0.0.1:9402/metrics   (an agent's)
  Logs         ${cluster.dataDir}/logs/
`;
}
