"""Creates and attaches an interface through a client generated from proto/ (row M7).

Usage: create_and_attach.py GENERATED_DIR ENDPOINT CA_FILE TOKEN_FILE ACCOUNT_ID
Prints one JSON object: the interface, the attachment, and how a second attempt was refused.
"""

import json
import sys

generated, endpoint, ca_file, token_file, account_id = sys.argv[1:6]
sys.path.insert(0, generated)

import grpc
from plenum.compute.v1 import instance_pb2, instance_pb2_grpc
from plenum.network.v1 import vpc_pb2, vpc_pb2_grpc
from plenum.nivc.v1 import interface_pb2, interface_service_pb2, interface_service_pb2_grpc
from plenum.operation.v1 import operation_pb2, operation_pb2_grpc

with open(ca_file, "rb") as ca, open(token_file) as token:
    credentials = grpc.ssl_channel_credentials(ca.read())
    metadata = [("authorization", "Bearer " + token.read().strip())]

with grpc.secure_channel(endpoint, credentials) as channel:
    def call(method, request):
        return method(request, metadata=metadata, timeout=30)

    vpcs = vpc_pb2_grpc.VpcServiceStub(channel)
    interfaces = interface_service_pb2_grpc.InterfaceServiceStub(channel)
    instances = instance_pb2_grpc.InstanceServiceStub(channel)
    operations = operation_pb2_grpc.OperationServiceStub(channel)

    network = call(
        vpcs.CreateVpc,
        vpc_pb2.CreateVpcRequest(
            owner_account=account_id,
            name="from-python",
            cidr_block="10.60.0.0/16",
            first_subnet=vpc_pb2.FirstSubnet(cidr_block="10.60.1.0/24"),
        ),
    )
    spec = interface_service_pb2.InterfaceSpec(subnet_id=network.first_subnet.subnet_id)
    first = call(interfaces.CreateInterface, interface_service_pb2.CreateInterfaceRequest(spec=spec)).interface
    second = call(interfaces.CreateInterface, interface_service_pb2.CreateInterfaceRequest(spec=spec)).interface
    run = call(
        instances.RunInstance,
        instance_pb2.RunInstanceRequest(
            owner_account=account_id,
            name="from-python",
            interfaces=[instance_pb2.InstanceInterface(interface_id=first.interface_id)],
        ),
    )
    operation = call(operations.WaitOperation, operation_pb2.WaitOperationRequest(operation_id=run.operation.operation_id)).operation

    attach = interface_service_pb2.AttachInterfaceRequest(
        spec=interface_service_pb2.AttachmentSpec(interface_id=second.interface_id, instance_id=run.instance.instance_id),
        wait=interface_service_pb2.WAIT_FOR_REACHABLE,
    )
    attachment = call(interfaces.AttachInterface, attach).attachment
    try:
        call(interfaces.AttachInterface, attach)
        refused = "it was not refused"
    except grpc.RpcError as error:
        refused = error.code().name

    print(
        json.dumps(
            {
                "operation": operation_pb2.OperationState.Name(operation.state),
                "address": list(second.private_addresses),
                "state": interface_pb2.AttachmentState.Name(attachment.state),
                "device_index": attachment.device_index,
                "again": refused,
            }
        )
    )
